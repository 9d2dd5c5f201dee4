// SPDX-License-Identifier: MPL-2.0
/** What can be decided about rows, how it is called, and its key. */

export type Verb = "approve" | "reject" | "defer" | "ask" | "withdraw" | "flags";

export const VERBS: readonly [Verb, string, string][] = [
  ["approve", "Approve", "A"],
  ["ask", "Ask", "N"],
  ["defer", "Defer", "D"],
  ["reject", "Reject", "R"],
  ["withdraw", "Take off", "W"],
  ["flags", "Flags", "E"],
];

const WORDS: Record<Verb, string> = { approve: "Approve", reject: "Reject", defer: "Defer", ask: "Ask about", withdraw: "Take off the request of", flags: "Set flags of" };

/** The question of a dialog; `noun` is what several are called. */
export function question(verb: Verb, bugs: readonly number[], noun: string, aim: string): string {
  return `${WORDS[verb]} ${bugs.length === 1 ? `bug ${bugs[0]}` : `${bugs.length} ${noun}`} for ${aim}?`;
}
