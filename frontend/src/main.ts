// SPDX-License-Identifier: MPL-2.0
import "./styles/index.css";
import { shellPainted } from "./lib/painted";

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

// The shell is on the screen before the page's own work begins: compiling it takes what painting needs.
await shellPainted();
await import("./start");
