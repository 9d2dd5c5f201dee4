// SPDX-License-Identifier: MPL-2.0
/** A list that does not move under the cursor: rows change in place, new ones are held until somebody wants them. */

import type { Schemas } from "../../lib/api";

type Event = Schemas["ShownEvent"];

export class HeldList {
  /** Newest first. */
  rows: Event[] = $state.raw([]);
  /** Newer events that are not in `rows` yet, newest first. */
  held: Event[] = $state.raw([]);
  /** Where older ones begin; null: there are none. */
  next: number | null = $state(null);
  #asked: string | null = null;

  /** What a reading of the newest brought. asked: its filters; others begin a new list. */
  take(asked: string, events: readonly Event[], next: number | null): void {
    if (asked !== this.#asked) {
      this.#asked = asked;
      this.rows = [...events];
      this.held = [];
      this.next = next;
      return;
    }
    const known = new Map(events.map((each) => [each.id, each]));
    this.rows = this.rows.map((row) => known.get(row.id) ?? row);
    const newest = this.rows[0]?.id ?? 0;
    this.held = events.filter((each) => each.id > newest);
    if (this.rows.length === 0) this.show();
  }

  /** Bring in what is held. */
  show(): void {
    if (this.held.length) this.rows = [...this.held, ...this.rows];
    this.held = [];
  }

  /** Older ones, at the end. */
  add(events: readonly Event[], next: number | null): void {
    const known = new Set(this.rows.map((row) => row.id));
    this.rows = [...this.rows, ...events.filter((each) => !known.has(each.id))];
    this.next = next;
  }
}
