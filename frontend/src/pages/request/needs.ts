// SPDX-License-Identifier: MPL-2.0
/** The words that ask an author for what a patch needs first. */

import type { Schemas } from "../../lib/api";

/** Whether it belongs to a security bug that the person may not see: neither commit nor people are told. */
export function isWithheld(need: { revision: string }): boolean {
  return need.revision.startsWith("withheld");
}

/** "bug 1234", or the commit where no bug is named. */
export function named(need: Schemas["NeedAnswer"]): string {
  if (isWithheld(need)) return "a security bug";
  return need.bug === null ? need.revision.slice(0, 12) : `bug ${need.bug}`;
}

/** A question to the author of a request. */
export function question(request: Schemas["RequestAnswer"], need: Schemas["NeedAnswer"]): string {
  const what = named(need);
  const tip = request.trials[0]?.tip.slice(0, 12) ?? request.train;
  return `This does not merge on ${request.train} without ${what}. Could you ask for ${what} on ${request.train} too, or attach a patch rebased on ${tip}?`;
}

/** What is proved to be missing and nobody asks for. */
export function unasked(request: Schemas["RequestAnswer"]): readonly Schemas["NeedAnswer"][] {
  return (request.trials[0]?.advice?.prerequisites ?? []).filter((need) => need.state === "unasked" && !isWithheld(need));
}
