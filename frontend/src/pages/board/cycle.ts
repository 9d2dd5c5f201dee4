// SPDX-License-Identifier: MPL-2.0
/** A train's cycle as its calendar says it. Pure. */

import type { Answer } from "./rows";

type Train = Answer["train"];

export const DAY = 86_400_000;

/** What ends the stage of a channel: the merge on main, the release on the way there or that comes next. */
const ENDS: Record<string, string> = { nightly: "merge_day", aurora: "merge_day", beta: "release", esr: "release" };

export const time = (each: { at: string }): number => Date.parse(each.at);

/** Whether what comes after the end belongs to another train. */
export const isClosed = (train: Train): boolean => train.channel in ENDS;

/** The moment that ends the stage; where the channel has none, the last that is known. */
export function endOf(train: Train): Train["moments"][number] | undefined {
  return train.moments.find((each) => each.name === ENDS[train.channel]) ?? train.moments.filter((each) => each.is_milestone).at(-1);
}
