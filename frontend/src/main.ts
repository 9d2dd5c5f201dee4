// SPDX-License-Identifier: MPL-2.0
import { mount } from "svelte";
import "./styles/index.css";
import App from "./App.svelte";
import { keys } from "./lib/keys.svelte";
import { live } from "./lib/live.svelte";
import { me } from "./lib/me.svelte";
import { router } from "./lib/router.svelte";
import { find, MISSING } from "./routes";

// A page of an older build asks for a piece that the new one no longer has: take the new build, once.
addEventListener("vite:preloadError", (event) => {
  if (sessionStorage.getItem("shipit.reloaded") === location.href) return;
  sessionStorage.setItem("shipit.reloaded", location.href);
  event.preventDefault();
  location.reload();
});

/** The shell is painted before the page's own work begins. A hidden page is not painted at all. */
async function painted(): Promise<void> {
  if (document.hidden || performance.getEntriesByName("first-contentful-paint").length) return;
  await new Promise<void>((done) => requestAnimationFrame(() => setTimeout(done)));
}

const target = document.getElementById("app")!;
const [{ default: first }] = await Promise.all([find(router.path).route.load(), painted()]);
target.replaceChildren();
mount(App, { target, props: { first } });
router.listen((path) => find(path).route !== MISSING);
keys.start();
live.start();
me.read().catch(() => {
  // Who looks stays unknown; whatever needs a login says so itself when it is asked.
});
