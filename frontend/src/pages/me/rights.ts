// SPDX-License-Identifier: MPL-2.0
/** What a person may do, in words. */

import type { Person } from "../../lib/me.svelte";

/** One sentence for each right; the first says what is seen. */
export function rightsOf(person: Person): string[] {
  const said = [SEES[person.audience]];
  if (person.decide.length) said.push(`Decides about requests for ${listed(person.decide)}.`);
  if (person.sign.length) said.push(person.sign.includes("*") ? "Signs for every group." : `Signs for ${listed(person.sign)}.`);
  if (person.rights.includes("user")) said.push("Asks for trials and saves views.");
  if (person.rights.includes("replay")) said.push("Replays events.");
  if (person.rights.includes("admin")) said.push("Administers Ship It, and notes what holds about contributors.");
  return said;
}

const SEES: Record<Person["audience"], string> = {
  public: "Sees what everybody sees.",
  member: "Sees whatever is not restricted, and how many restricted requests there are.",
  trusted: "Sees everything, security bugs included.",
};

function listed(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
