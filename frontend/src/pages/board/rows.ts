// SPDX-License-Identifier: MPL-2.0
/**
 * Which rows an address asks for, in which order and groups. The words are those of the server
 * (shipit.uplift.board_filter), so that a view's CSV and feeds hold the same rows.
 */

import type { Schemas } from "../../lib/api";

export type Answer = Schemas["BoardAnswer"];
export type Row = Schemas["BoardRow"];
export type Group = Schemas["BoardGroup"];

export const SORTS = { before: "Decide before", age: "Oldest first", risk: "Risk", size: "Smallest first", bug: "Bug" } as const;
const RISKS = ["high", "medium", "low", "none"];

/** Words that choose rows, and what of a row they are compared with. */
export const VALUE: Record<string, (row: Row) => string | readonly string[]> = {
  group: (row) => row.group,
  status: (row) => row.here.key,
  state: (row) => row.state,
  product: (row) => row.product,
  component: (row) => row.component,
  tag: (row) => row.tags,
  risk: (row) => row.risk ?? "none",
  who: (row) => row.who?.name ?? "",
  security: (row) => (row.is_restricted ? "yes" : "no"),
  disagrees: (row) => (row.disagrees.length ? "yes" : "no"),
};

export interface Wanted {
  words: readonly string[];
  values: ReadonlyMap<string, ReadonlySet<string>>;
  sort: string;
  isReversed: boolean;
}

/** What a query asks for; text is what is typed now, which may be ahead of the address. */
export function wantedOf(query: URLSearchParams, text: string): Wanted {
  const values = new Map<string, Set<string>>();
  for (const name of Object.keys(VALUE)) {
    const given = query.getAll(name).flatMap((each) => [each, ...each.split(",")]).map((each) => each.trim());
    const found = new Set(given.filter(Boolean));
    if (found.size) values.set(name, found);
  }
  const sort = query.get("sort") ?? "";
  const name = sort.replace(/^-/, "");
  return {
    words: text.toLowerCase().split(/\s+/).filter(Boolean),
    values,
    sort: name in SORTS ? name : "before",
    isReversed: sort.startsWith("-"),
  };
}

const texts = new WeakMap<Row, string>();

function textOf(row: Row): string {
  let text = texts.get(row);
  if (text === undefined) {
    text = [row.summary, row.product, row.component, row.who?.name ?? "", ...row.tags, row.bug].join(" ").toLowerCase();
    texts.set(row, text);
  }
  return text;
}

function fits(row: Row, wanted: Wanted): boolean {
  for (const [name, values] of wanted.values) {
    const found = VALUE[name]!(row);
    if (typeof found === "string" ? !values.has(found) : !found.some((each) => values.has(each))) return false;
  }
  if (!wanted.words.length) return true;
  const text = textOf(row);
  return wanted.words.every((word) => text.includes(word));
}

/** By code points and not by a language, so that every browser and the server agree. */
export function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const LATE = "9999";
const lines = (row: Row): number => (row.size ? row.size.added + row.size.deleted : -1);
const before = (a: Row, b: Row): number =>
  a.rank - b.rank || compare(a.requested_at ?? LATE, b.requested_at ?? LATE) || compare(a.uid, b.uid);
const ORDERS: Record<string, (a: Row, b: Row) => number> = {
  before,
  age: (a, b) => compare(a.requested_at ?? LATE, b.requested_at ?? LATE),
  risk: (a, b) => RISKS.indexOf(a.risk ?? "none") - RISKS.indexOf(b.risk ?? "none"),
  size: (a, b) => lines(a) - lines(b),
  bug: (a, b) => a.bug - b.bug,
};

/** How many rows are wanted. */
export function count(rows: readonly Row[], wanted: Wanted): number {
  return rows.reduce((sum, row) => sum + (fits(row, wanted) ? 1 : 0), 0);
}

export interface Section {
  group: Group;
  rows: readonly Row[];
}

/** The rows that are wanted, by group; within a group in the wanted order. Empty groups are left out. */
export function sections(rows: readonly Row[], groups: readonly Group[], wanted: Wanted): Section[] {
  const by = new Map<string, Row[]>(groups.map((group) => [group.key, []]));
  for (const row of rows) if (fits(row, wanted)) by.get(row.group)?.push(row);
  const order = ORDERS[wanted.sort]!;
  const turn = wanted.isReversed ? -1 : 1;
  const found: Section[] = [];
  for (const group of groups) {
    const mine = by.get(group.key)!;
    if (!mine.length) continue;
    mine.sort(before);
    if (order !== before || turn < 0) mine.sort((a, b) => turn * order(a, b));
    found.push({ group, rows: mine });
  }
  return found;
}
