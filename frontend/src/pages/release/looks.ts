// SPDX-License-Identifier: MPL-2.0
/** How states look: the words come from the server, icon and frame are chosen here. */

import type { Schemas } from "../../lib/api";
import type { IconName } from "../../lib/icons";
import type { Step } from "./layout";

export type Release = Schemas["Release"];
export type Tone = Schemas["Tone"];
/** What is asked about the whole release. */
export type Question = "freeze" | "cancel" | "remove";

/** "Firefox 147.0b3" */
export function titled(one: { product: string; version: string; uid: string }): string {
  const product = one.product && one.product[0]!.toUpperCase() + one.product.slice(1);
  return [product, one.version].filter(Boolean).join(" ") || one.uid;
}

const TONES: Record<Tone, IconName> = { ok: "check", run: "turn", warn: "person", bad: "x", mute: "dash" };

/** The icon beside a step's word. */
export function icon(step: Step): IconName {
  if (step.kind === "signoff" && (step.tone === "warn" || step.state === "success")) return "pen";
  if (step.state === "blocked") return "lock";
  if (step.state === "skipped") return "skip";
  if (step.state === "cancelled") return "stop";
  if (step.reason === "stopped" || step.reason === "pipeline_held") return "lock";
  if (step.reason === "scheduled" || step.kind === "timer") return step.tone === "ok" ? "check" : "clock";
  return TONES[step.tone];
}

/** The frame of a step in the graph. */
export function frame(step: Step): string {
  if (step.state === "skipped" || step.state === "cancelled") return "skipped";
  if (step.state === "blocked" || (step.state === "ready" && step.tone === "mute")) return "wait";
  return step.tone === "ok" ? "done" : step.tone === "mute" ? "" : step.tone;
}

/** The icon of a whole release. */
export const headIcon = (tone: Tone): IconName => TONES[tone];

/** Whether a name in a policy is a person's: an address, or an identity; others are groups. */
export const isPerson = (name: string): boolean => /[@/|]/.test(name);

/** How far a running step is, in percent; null where nobody knows. */
export function percent(step: Step): number | null {
  if (step.state !== "in_progress") return null;
  const { percent, tasks, ended } = step.details as Record<string, unknown>;
  if (typeof percent === "number") return percent;
  return typeof tasks === "number" && typeof ended === "number" && tasks > 0 ? Math.floor((100 * ended) / tasks) : null;
}

/** What is looked at first: what failed, then what waits for a person, then what runs. */
export function firstOfAll(steps: readonly Step[]): Step | undefined {
  return (
    steps.find((step) => step.tone === "bad") ??
    steps.find((step) => step.tone === "warn") ??
    steps.find((step) => step.tone === "run") ??
    steps[0]
  );
}

/** Whether nothing waits for a step any more. */
export const isOver = (step: Step | undefined): boolean => step?.state === "success" || step?.state === "skipped";

/** What the end of a step starts, in words: at once, or as soon as others are done too. */
export function starting(release: Release, step: Step): string {
  const by = new Map(release.steps.map((each) => [each.uid, each]));
  const title = (uid: string): string => by.get(uid)?.title ?? uid;
  const after = release.steps.filter((each) => each.state === "blocked" && each.requires.includes(step.uid));
  const others = (each: Step): string[] => each.requires.filter((uid) => uid !== step.uid && !isOver(by.get(uid))).map(title);
  const atOnce = after.filter((each) => !others(each).length).map((each) => each.title);
  const found = after.filter((each) => others(each).length).map((each) => `${each.title} as soon as ${are(others(each), "done")}`);
  if (atOnce.length) found.unshift(named(atOnce));
  return found.length ? `starts ${found.join("; and ")}` : "starts nothing else";
}

/** "A is done", "A and B are done". */
export const are = (names: readonly string[], what: string): string => `${named(names)} ${names.length === 1 ? "is" : "are"} ${what}`;

/** "A waits", "A and B wait". */
export const waiting = (names: readonly string[], what: string): string => `${named(names)} ${names.length === 1 ? "waits" : "wait"} ${what}`;

/** "ship RC" of "ship_rc". */
export const phaseName = (phase: string): string => phase.replace(/_rc\b/, " RC").replaceAll("_", " ");

/** "A, B and C", "A, B and 3 more" */
export function named(names: readonly string[], most = 6): string {
  const rest = names.length - most;
  if (rest > 0) return `${names.slice(0, most).join(", ")} and ${rest} more`;
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
