// SPDX-License-Identifier: MPL-2.0
/** The state of a list: what is shown, what is held, where the cursor is, what is selected. */

import type { Schemas } from "../../lib/api";

export type List = Schemas["ListAnswer"];
export type Listed = List["rows"][number];

/** What makes a row the same row: its request, or its bug where it has none. */
export const keyOf = (row: Listed): string => row.request ?? `bug ${row.bug}`;

export class Listing {
  name = "";
  rows: readonly Listed[] = $state.raw([]);
  held = $state(0);
  cursor: string | null = $state(null);
  selected: ReadonlySet<string> = $state.raw(new Set());
  /** Whether pointer or focus is on the list. */
  isEngaged = false;
  #fresh: readonly Listed[] = [];
  #anchor: string | null = null;

  /** Take what was read; while somebody is at the list nothing comes, goes or moves. */
  take(name: string, fresh: readonly Listed[]): void {
    this.#fresh = fresh;
    const isOther = name !== this.name;
    this.name = name;
    if (isOther || (!this.isEngaged && this.selected.size === 0)) {
      if (isOther) this.cursor = null;
      this.show();
      return;
    }
    const now = new Map(fresh.map((row) => [keyOf(row), row]));
    const before = new Set(this.rows.map(keyOf));
    this.held = [...before].filter((key) => !now.has(key)).length + fresh.filter((row) => !before.has(keyOf(row))).length;
    this.rows = this.rows.map((row) => (keyOf(row) === this.cursor ? row : (now.get(keyOf(row)) ?? row)));
  }

  /** Show what is held. */
  show(): void {
    this.rows = this.#fresh;
    this.held = 0;
    const there = new Set(this.rows.map(keyOf));
    this.selected = new Set([...this.selected].filter((key) => there.has(key)));
    if (this.cursor !== null && !there.has(this.cursor)) this.cursor = null;
  }

  get current(): Listed | null {
    return this.rows.find((row) => keyOf(row) === this.cursor) ?? null;
  }

  /** What a verdict is about: the selection, else the row under the cursor. */
  get subjects(): readonly Listed[] {
    const picked = this.rows.filter((row) => this.selected.has(keyOf(row)));
    return picked.length ? picked : this.current ? [this.current] : [];
  }

  /** Move by so many rows; from nowhere to the first. */
  move(by: number): void {
    const at = this.rows.findIndex((row) => keyOf(row) === this.cursor);
    const to = at < 0 ? 0 : Math.min(this.rows.length - 1, Math.max(0, at + by));
    this.cursor = this.rows[to] ? keyOf(this.rows[to]) : null;
  }

  toggle(key: string): void {
    const found = new Set(this.selected);
    if (!found.delete(key)) found.add(key);
    this.selected = found;
    this.#anchor = key;
  }

  /** Select from the row that was toggled last to this one. */
  range(key: string): void {
    const order = this.rows.map(keyOf);
    const to = order.indexOf(key);
    const from = Math.max(0, order.indexOf(this.#anchor ?? key));
    this.selected = new Set([...this.selected, ...order.slice(Math.min(from, to), Math.max(from, to) + 1)]);
  }

  all(isSelected: boolean): void {
    this.selected = new Set(isSelected ? this.rows.map(keyOf) : []);
  }
}
