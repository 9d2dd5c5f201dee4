// SPDX-License-Identifier: MPL-2.0
/** How trials and requests are shown: the words of `uplift.standing` and `uplift.types`; a test keeps them equal. */

import type { IconName } from "./icons";

export type Colour = "ok" | "bad" | "warn" | "run" | "mute";

export interface Look {
  icon: IconName;
  word: string;
  colour: Colour;
}

const CANT_TELL: Look = { icon: "ask", word: "Can't tell", colour: "mute" };

/** A trial's outcome. */
export const OUTCOMES: Record<string, Look> = {
  clean: { icon: "check", word: "Clean", colour: "ok" },
  landed: { icon: "landed", word: "Already landed", colour: "mute" },
  empty: { icon: "dash", word: "Empty", colour: "mute" },
  conflict: { icon: "x", word: "Conflict", colour: "bad" },
  skipped: { icon: "skip", word: "Skipped", colour: "mute" },
  missing: CANT_TELL,
  error: CANT_TELL,
};

/** What is shown for an outcome; for none, that nothing was tried yet. */
export function outcome(name: string | null | undefined): Look {
  return name ? (OUTCOMES[name] ?? CANT_TELL) : { icon: "clock", word: "Queued", colour: "run" };
}

const STANDINGS: Record<string, IconName> = {
  clean: "check",
  landed: "landed",
  empty: "dash",
  conflict: "x",
  "needs-bug": "before",
  skipped: "skip",
  queued: "clock",
  retesting: "turn",
  "cant-tell": "ask",
};
const COLOURS: Record<string, Colour> = { green: "ok", red: "bad", grey: "mute", run: "run" };

/** What is shown for a standing; its word comes with it. */
export function standing(found: { key: string; word: string; colour: string }): Look {
  return { icon: STANDINGS[found.key] ?? "ask", word: found.word, colour: COLOURS[found.colour] ?? "mute" };
}

/** How a request stands in Bugzilla. */
export const STATES: Record<string, Look> = {
  requested: { icon: "clock", word: "approval ?", colour: "warn" },
  approved: { icon: "check", word: "Approved", colour: "ok" },
  rejected: { icon: "x", word: "Rejected", colour: "bad" },
  cleared: { icon: "dash", word: "Taken back", colour: "mute" },
};

/** A number with its word: "1 file", "3 files". */
export function plural(count: number, word: string, many = `${word}s`): string {
  return `${count}\u00a0${count === 1 ? word : many}`;
}

/** An address that came from outside, where it is one of the web: a script in it would run as ours. */
export function web(url: string | null | undefined): string | null {
  return url && /^https?:\/\//i.test(url) ? url : null;
}
