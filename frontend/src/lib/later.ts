// SPDX-License-Identifier: MPL-2.0
/** What every page may want, and not at once; fetched together once the page is drawn. */

export { default as KeyMap } from "./KeyMap.svelte";
export { default as Quarantined } from "./Quarantined.svelte";
export { default as SourceTable } from "./SourceTable.svelte";
export { default as ToastList } from "./ToastList.svelte";
export { default as Stuck } from "../decisions/Stuck.svelte";
export { default as Trouble } from "./Trouble.svelte";
