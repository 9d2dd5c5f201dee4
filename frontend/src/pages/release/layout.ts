// SPDX-License-Identifier: MPL-2.0
/** Where the steps of a graph stand: a column behind all they require, rows beside what they follow. */

import type { Schemas } from "../../lib/api";

export type Step = Schemas["StepView"];

export interface Place {
  column: number;
  row: number;
}

export interface Phase {
  name: string;
  from: number;
  to: number;
}

export interface Layout {
  columns: number;
  rows: number;
  places: Map<string, Place>;
  /** Drawn links: those that others do not imply. */
  edges: [from: string, to: string][];
  /** Empty where phases are not side by side. */
  phases: Phase[];
}

/** steps: each after all it requires, as the server sends them. */
export function layout(steps: readonly Step[]): Layout {
  const places = new Map<string, Place>();
  const filled: number[] = [];
  const { ordered, starts } = byPhase(steps);
  let phase = ordered[0]?.phase;
  let start = 0;
  for (const step of ordered) {
    if (starts && step.phase !== phase) {
      phase = step.phase;
      start = filled.length;
    }
    const before = step.requires.map((uid) => places.get(uid)).filter((place) => place !== undefined);
    const column = Math.max(start - 1, ...before.map((place) => place.column)) + 1;
    places.set(step.uid, { column, row: 0 });
    filled[column] = (filled[column] ?? 0) + 1;
  }
  const rows = Math.max(1, ...filled);
  for (let column = 0; column < filled.length; column++) {
    settle(steps.filter((step) => places.get(step.uid)!.column === column), places, rows);
  }
  return { columns: Math.max(1, filled.length), rows, places, edges: reduced(steps), phases: phases(steps, places) };
}

/** Phase after phase, where none requires a step of a later one; else as they come. */
function byPhase(steps: readonly Step[]): { ordered: Step[]; starts: boolean } {
  const names = [...new Set(steps.map((step) => step.phase))];
  const rank = new Map(steps.map((step) => [step.uid, names.indexOf(step.phase)]));
  const starts = steps.every((step) => step.requires.every((uid) => (rank.get(uid) ?? 0) <= rank.get(step.uid)!));
  return { ordered: starts ? [...steps].sort((a, b) => rank.get(a.uid)! - rank.get(b.uid)!) : [...steps], starts };
}

/** Rows of one column: each near the middle of what it follows, none twice. */
function settle(column: readonly Step[], places: Map<string, Place>, rows: number): void {
  const middle = (rows - 1) / 2;
  const wanted = column.map((step) => {
    const before = step.requires.map((uid) => places.get(uid)?.row ?? middle);
    return { step, at: before.length ? before.reduce((sum, row) => sum + row, 0) / before.length : middle };
  });
  wanted.sort((a, b) => a.at - b.at);
  const mean = wanted.reduce((sum, each) => sum + each.at, 0) / Math.max(1, wanted.length);
  const first = Math.min(rows - wanted.length, Math.max(0, Math.round(mean - (wanted.length - 1) / 2)));
  wanted.forEach(({ step }, place) => (places.get(step.uid)!.row = first + place));
}

/** Without the links that follow from others: a to c where a to b and b to c are. */
function reduced(steps: readonly Step[]): [string, string][] {
  const behind = new Map<string, Set<string>>();
  const found: [string, string][] = [];
  for (const step of steps) {
    const all = new Set<string>();
    for (const uid of step.requires) for (const each of behind.get(uid) ?? []) all.add(each);
    for (const uid of step.requires) if (!all.has(uid)) found.push([uid, step.uid]);
    behind.set(step.uid, new Set([...all, ...step.requires]));
  }
  return found;
}

function phases(steps: readonly Step[], places: Map<string, Place>): Phase[] {
  const found: Phase[] = [];
  for (const step of steps) {
    const { column } = places.get(step.uid)!;
    const known = found.find((phase) => phase.name === step.phase);
    if (known) {
      known.from = Math.min(known.from, column);
      known.to = Math.max(known.to, column);
    } else found.push({ name: step.phase, from: column, to: column });
  }
  found.sort((a, b) => a.from - b.from);
  const isApart = found.every((phase, place) => place === 0 || phase.from > found[place - 1]!.to);
  return isApart && found.some((phase) => phase.name) ? found : [];
}
