// SPDX-License-Identifier: MPL-2.0
/** Icons and short forms of what the server words. */

import type { Schemas } from "../../lib/api";
import type { IconName } from "../../lib/icons";

export type Status = Schemas["BoardStatus"];

export const ICON: Record<Status["key"], IconName> = {
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

export const COLOUR: Record<Status["colour"], "ok" | "bad" | "run" | "mute"> = { green: "ok", red: "bad", run: "run", grey: "mute" };

/** The word without what its icon says already. */
export function short(status: Status): string {
  return status.word.replace(/^Needs bug /, "Needs ");
}

/** The word where there is little room: the long ones lose what the title says. */
export function brief(status: Status): string {
  if (status.key === "conflict") return status.word.replace(/^Conflict, /, "");
  if (status.key === "landed") return "Landed";
  return short(status);
}

export const RISK: Record<string, { word: string; bars: number }> = {
  low: { word: "Low", bars: 1 },
  medium: { word: "Medium", bars: 2 },
  high: { word: "High", bars: 3 },
};
