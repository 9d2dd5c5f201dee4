// SPDX-License-Identifier: MPL-2.0
/** What stands in the box of a step: its title, its state, what is to be known of it, what it comes after. */

import { span } from "../../lib/clock.svelte";
import { html } from "../../lib/html";
import { status } from "../../lib/marks";
import type { Step } from "./layout";
import { icon, isOver, named, percent } from "./looks";

/** by: every step by its uid; now: in milliseconds. */
export function cells(step: Step, by: ReadonlyMap<string, Step>, now: number): string {
  const part = percent(step);
  const after = step.requires.map((uid) => by.get(uid)?.title ?? uid);
  return html`<b>${step.title}</b>${status(icon(step), step.word, step.tone)}<span class="l2">${below(step, by, now)}</span>${
    part !== null && html`<svg class="meter" aria-hidden="true"><rect width="${part}%" height="100%"></rect></svg>`
  }<span class="l2 after">${after.length ? `After ${named(after)}` : "First step"}</span>`.text;
}

function below(step: Step, by: ReadonlyMap<string, Step>, now: number): string {
  if (step.state === "skipped" || step.state === "cancelled") return step.sentence;
  if (step.finished_at && step.started_at) return span(+new Date(step.finished_at) - +new Date(step.started_at));
  if (step.expected_at) {
    const left = +new Date(step.expected_at) - now;
    return left > 0 ? `in ~ ${span(left)}` : "longer than half of its like";
  }
  if (step.state === "blocked") {
    const waits = step.requires.filter((uid) => !isOver(by.get(uid))).length;
    if (waits) return `after ${waits === 1 ? "1 step" : `${waits} steps`}`;
  }
  return step.sentence;
}
