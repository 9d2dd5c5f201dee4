// SPDX-License-Identifier: MPL-2.0
/** Ask the bot to try a request's merge again. */

import { send } from "../../lib/api";
import { toasts } from "../../lib/toasts.svelte";
import type { Row } from "./rows";

export async function tryAgain(row: Row): Promise<void> {
  try {
    await send("post", "/api/requests/{uid}/wishes", { path: { uid: row.uid }, body: { kind: "trial", since: null } });
    toasts.show({ kind: "ok", title: `Bug ${row.bug} will be tried again`, sentence: "The bot looks for wishes every few seconds." });
  } catch (error) {
    toasts.failed(`Bug ${row.bug} cannot be tried again`, error);
  }
}
