// SPDX-License-Identifier: MPL-2.0
/** What stands in many places, as text for long lists; the components of these names say the same. */

import { html, type Html } from "./html";
import type { IconName } from "./icons";

type Colour = "ok" | "bad" | "warn" | "run" | "mute";

/** A small icon; nothing is read out for it. */
export const icon = (name: IconName, spins = false): Html =>
  html`<svg class="ic ic-s${spins && " spin"}" aria-hidden="true"><use href="#i-${name}"></use></svg>`;

/** Icon, word and colour of a state. */
export const status = (name: IconName, word: string, colour: Colour): Html =>
  html`<span class="st ${colour}">${icon(name, colour === "run" && name === "turn")}<span>${word}</span></span>`;
