// SPDX-License-Identifier: MPL-2.0
/** What a page shows: read at once, read again when it changes, and never replaced by an error. */

import { rereading, type Change } from "./live.svelte";

export interface Reading<T> {
  /** null: not read yet. */
  readonly value: T | null;
  /** Why it could not be read the last time; what was read before stays. */
  readonly error: unknown;
  again(): Promise<void>;
}

/**
 * Call it while a component is set up. `read` runs at once, again when what it depends on changes, and after
 * changes that concern it (in bursts: at most every `pause` ms).
 */
export function reading<T>(
  read: (signal: AbortSignal) => Promise<T>,
  concerns: (change: Change) => boolean,
  pause = 1000,
): Reading<T> {
  let value: T | null = $state.raw(null);
  let error: unknown = $state.raw(null);
  let stop = new AbortController();

  async function again(): Promise<void> {
    stop.abort();
    const mine = new AbortController();
    stop = mine;
    try {
      const found = await read(mine.signal);
      if (mine.signal.aborted) return;
      value = found;
      error = null;
    } catch (reason) {
      if (!mine.signal.aborted) error = reason;
    }
  }

  $effect(() => {
    void again();
    return () => stop.abort();
  });
  $effect(() => rereading(concerns, again, pause));
  return {
    get value() {
      return value;
    },
    get error() {
      return error;
    },
    again,
  };
}
