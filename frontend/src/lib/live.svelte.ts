// SPDX-License-Identifier: MPL-2.0
/**
 * What changes, as the server tells it over /api/live: it reconnects by itself and says when it is behind.
 *
 * Read with fetch and not EventSource: so a stream that has fallen silent is noticed, one that was refused is
 * tried again, and where we were (Last-Event-ID) is never lost.
 */

import { facts } from "./facts";

/** One told change. table "*": anything may have changed, read afresh. */
export interface Change {
  table: string;
  trains: readonly string[];
  /** Empty: many, or not to be named. */
  ids: readonly string[];
}

export type LiveState = "connecting" | "live" | "behind";

const SILENCE_MS = 40_000;
const LONGEST_PAUSE_MS = 30_000;
const EVERYTHING: Change = { table: "*", trains: [], ids: [] };

class Live {
  state: LiveState = $state("connecting");
  /** Since when nothing was heard; null while it is live. */
  behindSince: number | null = $state(null);
  /** When the page's data was read at its source (oldest that matters), as the page says it. */
  asOf: string | null = $state(null);
  /** How fresh each source is: name and moment, or why it is not there. */
  sources: { name: string; at: string | null; trouble: string | null }[] = $state([]);

  #listeners = new Set<(change: Change) => void>();
  /** The last event heard; at first the newest when the page was made, so that nothing since then is missed. */
  #last: string | null = facts.live;
  #failures = 0;
  #isRefused = false;
  #stop: AbortController | null = null;
  #retry = 0;

  /** Hear of changes until the returned function is called. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Connect, and stay connected. */
  start(): void {
    void this.#run();
    addEventListener("online", () => this.again());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.state === "behind") this.again();
    });
  }

  /** Try now rather than when the pause is over. */
  again(): void {
    clearTimeout(this.#retry);
    this.#stop?.abort();
    this.#failures = 0;
    void this.#run();
  }

  async #run(): Promise<void> {
    const stop = new AbortController();
    this.#stop = stop;
    try {
      await this.#listen(stop);
    } catch {
      // Whatever ended it, the answer is the same: say so, wait, connect again.
    }
    if (this.#stop !== stop) return;
    if (this.state !== "behind") this.behindSince = Date.now();
    this.state = "behind";
    const pause = Math.min(LONGEST_PAUSE_MS, 500 * 2 ** this.#failures++) * (0.5 + Math.random() / 2);
    this.#retry = window.setTimeout(() => void this.#run(), pause);
  }

  async #listen(stop: AbortController): Promise<void> {
    let silence = setTimeout(() => stop.abort(), SILENCE_MS);
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (this.#last !== null) headers["Last-Event-ID"] = this.#last;
    try {
      const answer = await fetch("/api/live", { headers, signal: stop.signal, cache: "no-store" });
      if (answer.status === 401 && !this.#isRefused) {
        // The session has ended: pages ask again, and say so.
        this.#isRefused = true;
        this.#tell(EVERYTHING);
      }
      if (!answer.ok || !answer.body) throw new Error(String(answer.status));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => stop.abort(), SILENCE_MS);
        this.#heard();
        text += value;
        const parts = text.split("\n\n");
        text = parts.pop() ?? "";
        for (const part of parts) this.#event(part);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #heard(): void {
    this.#isRefused = false;
    if (this.state === "live") return;
    // No event came before the connection was lost, so the server cannot know what we missed.
    const missed = this.behindSince !== null && this.#last === null;
    this.state = "live";
    this.behindSince = null;
    this.#failures = 0;
    if (missed) this.#tell(EVERYTHING);
  }

  #event(part: string): void {
    let kind = "";
    let data = "";
    for (const line of part.split("\n")) {
      if (line.startsWith("id: ")) this.#last = line.slice(4);
      else if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (kind === "resync") this.#tell(EVERYTHING);
    else if (kind === "change") this.#tell(JSON.parse(data) as Change);
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }
}

export const live = new Live();

/** Whether a change touches one of these tables, and this train where one is named. */
export function touches(change: Change, tables: readonly string[], train?: string): boolean {
  if (change.table === "*") return true;
  if (!tables.includes(change.table)) return false;
  return train === undefined || change.trains.length === 0 || change.trains.includes(train);
}

/**
 * Call `read` after changes: at once for the first, then at most every `pause` ms however many there are, and
 * never two at a time. Returns what ends it.
 */
export function rereading(concerns: (change: Change) => boolean, read: () => Promise<void>, pause = 1000): () => void {
  let timer = 0;
  let reading = false;
  let wanted = false;
  let ended = false;
  async function run(): Promise<void> {
    wanted = false;
    reading = true;
    try {
      await read();
    } finally {
      reading = false;
      timer = window.setTimeout(() => {
        timer = 0;
        if (wanted && !ended) void run();
      }, pause);
    }
  }
  const leave = live.subscribe((change) => {
    if (!concerns(change)) return;
    wanted = true;
    if (!reading && timer === 0 && !ended) void run();
  });
  return () => {
    ended = true;
    clearTimeout(timer);
    leave();
  };
}
