// SPDX-License-Identifier: MPL-2.0
/** What a key does to a request without opening it. */

import { get, send } from "../../lib/api";
import { facts } from "../../lib/facts";
import { toasts } from "../../lib/toasts.svelte";
import { commands } from "../request/commands";
import type { Row } from "./rows";

/** Ask the bot to try a request's merge again. */
export async function tryAgain(row: Row): Promise<void> {
  try {
    await send("post", "/api/requests/{uid}/wishes", { path: { uid: row.uid }, body: { kind: "trial", since: null } });
    toasts.show({ kind: "ok", title: `Bug ${row.bug} will be tried again`, sentence: "The bot looks for wishes every few seconds." });
  } catch (error) {
    toasts.failed(`Bug ${row.bug} cannot be tried again`, error);
  }
}

/** Copy the commands that try a request in one's own clone. */
export async function copyCommands(row: Row, branch: string): Promise<void> {
  try {
    const lines = commands(await get("/api/requests/{uid}", { path: { uid: row.uid } }), branch, facts.bugzilla);
    if (!lines.length) {
      toasts.show({ kind: "warn", title: `Bug ${row.bug} has no commands`, sentence: "None of its patches can be fetched by a name that we know." });
      return;
    }
    await navigator.clipboard.writeText(lines.join("\n"));
    toasts.show({ kind: "ok", title: `The commands for bug ${row.bug} are copied` });
  } catch (error) {
    toasts.failed(`The commands for bug ${row.bug} are not copied`, error);
  }
}
