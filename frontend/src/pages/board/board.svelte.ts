// SPDX-License-Identifier: MPL-2.0
/** The state of the board: what is shown, what is held, where the cursor is, what is selected. */

import { flushSync } from "svelte";
import { get } from "../../lib/api";
import { live } from "../../lib/live.svelte";
import { router } from "../../lib/router.svelte";
import { merge } from "./merge";
import { sections, wantedOf, type Answer, type Row } from "./rows";

const ADDRESS_PAUSE_MS = 250;
const MARK_MS = 3000;
const STORED = "shipit.density";

export class Board {
  train = $state("");
  answer: Answer | null = $state.raw(null);
  /** The rows as they are shown: the answer's, but for what is held. */
  rows: readonly Row[] = $state.raw([]);
  held = $state(0);
  error: unknown = $state.raw(null);

  /** What is typed in the search field. */
  text = $state(router.query.get("q") ?? "");
  cursor: string | null = $state(null);
  selected: ReadonlySet<string> = $state.raw(new Set());
  /** Rows that have just changed, for their dot. */
  marked: ReadonlySet<string> = $state.raw(new Set());
  isCompact = $state(localStorage.getItem(STORED) === "compact");
  /** Whether pointer or focus is on the list. */
  isEngaged = false;
  hovered: string | null = null;

  readonly wanted = $derived(wantedOf(router.query, this.text));
  readonly sections = $derived(this.answer ? sections(this.rows, this.answer.groups, this.wanted) : []);
  readonly shown = $derived(this.sections.flatMap((section) => section.rows));
  readonly isFiltered = $derived(this.wanted.words.length > 0 || this.wanted.values.size > 0);

  #anchor: string | null = null;
  #timer = 0;

  /** Read the board of a train; another train begins anew. */
  async read(train: string, signal?: AbortSignal): Promise<void> {
    try {
      const fresh = await get("/api/board/{train}", { path: { train } }, signal);
      if (signal?.aborted) return;
      this.error = null;
      if (train !== this.train) this.#begin(train);
      this.#take(fresh);
    } catch (error) {
      if (signal?.aborted) return;
      if (train !== this.train) this.#begin(train);
      this.error = error;
    }
  }

  /** Show what is held. */
  showHeld(): void {
    if (!this.answer) return;
    const merged = merge(this.rows, this.answer.rows, { engaged: false, guarded: new Set() });
    this.#apply(merged.rows, merged.changed);
    this.held = 0;
  }

  #begin(train: string): void {
    this.train = train;
    this.answer = null;
    this.rows = [];
    this.held = 0;
    this.selected = new Set();
    this.cursor = null;
  }

  #take(fresh: Answer): void {
    if (fresh === this.answer) return;
    const isFirst = this.answer === null;
    this.answer = fresh;
    live.asOf = fresh.as_of;
    live.sources = fresh.sources;
    if (isFirst) {
      this.rows = fresh.rows;
      return;
    }
    const guarded = new Set([this.cursor, this.hovered].filter((uid) => uid !== null));
    const merged = merge(this.rows, fresh.rows, { engaged: this.isEngaged || this.selected.size > 0, guarded });
    this.#apply(merged.rows, merged.changed);
    this.held = merged.held;
  }

  #apply(rows: readonly Row[], changed: readonly string[]): void {
    this.rows = rows;
    const there = new Set(rows.map((row) => row.uid));
    const left = [...this.selected].filter((uid) => there.has(uid));
    if (left.length < this.selected.size) this.selected = new Set(left);
    if (this.cursor !== null && !there.has(this.cursor)) this.cursor = null;
    // A dot on each of a thousand rows says nothing.
    if (changed.length > 50) return;
    if (!changed.length) return;
    this.marked = new Set([...this.marked, ...changed]);
    setTimeout(() => (this.marked = new Set([...this.marked].filter((uid) => !changed.includes(uid)))), MARK_MS);
  }

  // --- what is typed ----------------------------------------------------------------------------------

  /** Filter by these words now; the address follows when the typing pauses. */
  type(text: string): void {
    // in the next frame, whoever asks for it
    flushSync(() => (this.text = text));
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => router.ask({ q: text.trim() }, { keep: true }), ADDRESS_PAUSE_MS);
  }

  /** Choose these values of a filter; none: any. */
  choose(name: string, values: readonly string[]): void {
    router.ask({ [name]: values.join(",") });
  }

  /** Every row again. */
  clearFilters(): void {
    clearTimeout(this.#timer);
    this.text = "";
    router.ask({ q: null, ...Object.fromEntries([...this.wanted.values.keys()].map((name) => [name, null])) });
  }

  setCompact(isCompact: boolean): void {
    this.isCompact = isCompact;
    localStorage.setItem(STORED, isCompact ? "compact" : "comfortable");
  }

  // --- cursor and selection ---------------------------------------------------------------------------

  /** The row under the cursor, where it is shown. */
  get current(): Row | null {
    return this.shown.find((row) => row.uid === this.cursor) ?? null;
  }

  /** Move by so many rows; from nowhere to the first. */
  move(by: number): void {
    const at = this.shown.findIndex((row) => row.uid === this.cursor);
    const to = at < 0 ? (by > 0 ? 0 : this.shown.length - 1) : Math.min(this.shown.length - 1, Math.max(0, at + by));
    this.cursor = this.shown[to]?.uid ?? null;
  }

  toggle(uid: string): void {
    this.#select([uid], !this.selected.has(uid));
    this.#anchor = uid;
  }

  /** Select from the row that was toggled last to this one. */
  range(uid: string): void {
    const uids = this.shown.map((row) => row.uid);
    const from = uids.indexOf(this.#anchor ?? uid);
    const to = uids.indexOf(uid);
    if (to < 0) return;
    this.#select(uids.slice(Math.min(from < 0 ? to : from, to), Math.max(from, to) + 1), true);
  }

  /** Select the whole group of a row, or, where it is selected, none of it. */
  group(uid: string): void {
    const rows = this.sections.find((section) => section.rows.some((row) => row.uid === uid))?.rows ?? [];
    this.#select(rows.map((row) => row.uid), !rows.every((row) => this.selected.has(row.uid)));
  }

  /** Select every row that is shown, or none. */
  all(isSelected: boolean): void {
    this.selected = new Set(isSelected ? this.shown.map((row) => row.uid) : []);
  }

  #select(uids: readonly string[], isSelected: boolean): void {
    const found = new Set(this.selected);
    for (const uid of uids) {
      if (isSelected) found.add(uid);
      else found.delete(uid);
    }
    this.selected = found;
  }

  /** What a verdict is about: the selection, else the row under the cursor. */
  get subjects(): Row[] {
    const picked = this.rows.filter((row) => this.selected.has(row.uid));
    return picked.length ? picked : this.current ? [this.current] : [];
  }
}
