// SPDX-License-Identifier: MPL-2.0
/** Commands that try a request in one's own clone; names come from outside, so only those of a known form are used. */

import type { Schemas } from "../../lib/api";

const COMMIT = /^[0-9a-f]{7,40}$/;
const REVISION = /^D\d{1,9}$/;
const BRANCH = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,100}$/;

/** Lines for a shell; empty where there is nothing that one could try. */
export function commands(request: Schemas["RequestAnswer"], branch: string | null, bugzilla: string): string[] {
  const tip = request.train_tip;
  if (!tip || !COMMIT.test(tip)) return [];
  const tries = request.series.map((patch) => one(patch, bugzilla)).filter((line) => line !== null);
  if (tries.length === 0) return [];
  const fetched = branch && BRANCH.test(branch) ? [`git fetch origin ${branch}`] : ["git fetch origin"];
  return [...fetched, `git switch --detach ${tip}`, ...tries];
}

function one(patch: Schemas["PatchRef"], bugzilla: string): string | null {
  if (patch.source === "commit" && COMMIT.test(patch.version)) return `git cherry-pick -x ${patch.version}`;
  if (patch.source === "revision" && REVISION.test(patch.name)) return `moz-phab patch ${patch.name} --apply-to here`;
  if (patch.source === "attachment" && patch.attachment !== null && URL.canParse(bugzilla)) {
    return `curl -sL '${new URL("/attachment.cgi", bugzilla).href}?id=${patch.attachment}' | git apply --3way --index`;
  }
  return null;
}
