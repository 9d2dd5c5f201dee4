// SPDX-License-Identifier: MPL-2.0
/** Draws the page of the address, then connects it. */

import { mount } from "svelte";
import App from "./App.svelte";
import { whenRefused } from "./lib/api";
import { keys } from "./lib/keys.svelte";
import { live } from "./lib/live.svelte";
import { me } from "./lib/me.svelte";
import { drawn } from "./lib/painted";
import { router } from "./lib/router.svelte";
import { find, MISSING } from "./routes";

const target = document.getElementById("app")!;
const { default: first } = await find(router.path).route.load();
target.replaceChildren();
mount(App, { target, props: { first } });
router.listen((path) => find(path).route !== MISSING);
keys.start();
await drawn();
live.start();
// Who looks stays unknown when this fails; whatever needs a login says so itself when it is asked.
const readMe = (): void => void me.read().catch(() => undefined);
readMe();
whenRefused(readMe);
live.subscribe((change) => {
  if (change.table === "*") readMe();
});
