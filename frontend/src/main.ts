// SPDX-License-Identifier: MPL-2.0
import { mount } from "svelte";
import "./styles/index.css";
import App from "./App.svelte";
import { whenRefused } from "./lib/api";
import { keys } from "./lib/keys.svelte";
import { live } from "./lib/live.svelte";
import { me } from "./lib/me.svelte";
import { router } from "./lib/router.svelte";
import { find, MISSING } from "./routes";

// A page of an older build asks for a piece that the new one no longer has: take the new build, once.
// A server that cannot be reached is no reason: the page stays as it is.
addEventListener("vite:preloadError", (event) => {
  const piece = /https?:\S+/.exec(event.payload.message)?.[0];
  if (piece === undefined || sessionStorage.getItem("shipit.reloaded") === piece) return;
  fetch(piece, { method: "HEAD" }).then(
    (answer) => {
      if (answer.status !== 404) return;
      sessionStorage.setItem("shipit.reloaded", piece);
      location.reload();
    },
    () => {},
  );
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
// Who looks stays unknown when this fails; whatever needs a login says so itself when it is asked.
const readMe = (): void => void me.read().catch(() => undefined);
readMe();
whenRefused(readMe);
live.subscribe((change) => {
  if (change.table === "*") readMe();
});
