// SPDX-License-Identifier: MPL-2.0
/** What the board may want, and not at once; fetched together once it is drawn. */

export { default as Chips } from "./Chips.svelte";
export { default as Dock } from "./Dock.svelte";
export { default as Elsewhere } from "./Elsewhere.svelte";
export { default as Exports } from "./Exports.svelte";
export { default as Filters } from "./Filters.svelte";
export { default as Lists } from "./Lists.svelte";
export { default as ListRows } from "./ListRows.svelte";
export { default as Nothing } from "./Nothing.svelte";
export { default as Notices } from "./Notices.svelte";
export { default as Rail } from "./Rail.svelte";
export { default as Saving } from "./Saving.svelte";
export { copyCommands, tryAgain } from "./verbs";
