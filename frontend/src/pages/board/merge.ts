// SPDX-License-Identifier: MPL-2.0
/** What of a new answer may be shown at once, and what is held until somebody asks for it. Pure. */

import type { Row } from "./rows";

export interface Merged {
  rows: readonly Row[];
  /** Rows that are shown as they were, come, or go, when the rest is asked for. */
  held: number;
  /** Rows that changed in their place. */
  changed: readonly string[];
}

/** Everything of a row that decides where it stands. */
function place(row: Row): string {
  return `${row.group} ${row.rank} ${row.requested_at}`;
}

/** Rows of the new answer that say the same as before stay the same objects: nothing of them is drawn again. */
export function kept(old: readonly Row[], fresh: readonly Row[]): readonly Row[] {
  const before = new Map(old.map((row) => [row.uid, row]));
  return fresh.map((row) => {
    const was = before.get(row.uid);
    return was !== undefined && JSON.stringify(was) === JSON.stringify(row) ? was : row;
  });
}

/**
 * The rows to show. While somebody is at the list (`engaged`), nothing comes, goes or moves, and the rows they
 * are on (`guarded`) stay as they are; all else changes in its place.
 */
export function merge(
  old: readonly Row[],
  fresh: readonly Row[],
  { engaged, guarded }: { engaged: boolean; guarded: ReadonlySet<string> },
): Merged {
  const next = kept(old, fresh);
  const was = new Map(old.map((row) => [row.uid, row]));
  const differs = next.filter((row) => was.get(row.uid) !== row);
  const changed = differs.filter((row) => was.has(row.uid)).map((row) => row.uid);
  if (!engaged) return { rows: next, held: 0, changed };
  const now = new Map(next.map((row) => [row.uid, row]));
  const inPlace = new Set(
    differs
      .filter((row) => was.has(row.uid) && !guarded.has(row.uid) && place(was.get(row.uid)!) === place(row))
      .map((row) => row.uid),
  );
  const gone = old.filter((row) => !now.has(row.uid)).length;
  return {
    rows: old.map((row) => (inPlace.has(row.uid) ? now.get(row.uid)! : row)),
    held: gone + differs.length - inPlace.size,
    changed: [...inPlace],
  };
}
