// SPDX-License-Identifier: MPL-2.0
/** Decisions on their way: sent once whatever the connection does, held for a moment, followed to their end. */

import { ApiError, get, send, type Schemas } from "../lib/api";
import { keys } from "../lib/keys.svelte";
import { toasts } from "../lib/toasts.svelte";

export type Decision = Schemas["DecisionShown"];
export type Decide = Schemas["Decide"];

/** States in which nothing more happens by itself. */
const RESTS = new Set(["done", "changed", "stuck", "undone", "dropped"]);
const LOOK_MS = 1500;
const TRIES = 4;

class Sending {
  /** Mine that may still be taken back, newest last. */
  held: readonly Decision[] = $state.raw([]);
  #leave = (): void => {};
  #closers = new Map<string, () => void>();
  #followed = new Set<string>();
  #heard = new Set<(decision: Decision) => void>();

  /** Hear how decisions go on until the returned function is called. */
  subscribe(listener: (decision: Decision) => void): () => void {
    this.#heard.add(listener);
    return () => this.#heard.delete(listener);
  }

  /** A name for a new decision: sending under the same name twice decides once. */
  name(): string {
    return `page-${crypto.randomUUID()}`;
  }

  /**
   * Send a decision and follow it. A lost connection is tried again under the same name; a refusal is thrown
   * as it is.
   */
  async send(uid: string, body: Decide): Promise<Decision> {
    const decision = (await persistent(() => send("put", "/api/decisions/{uid}", { path: { uid }, body })))!;
    this.#tell(decision);
    if (decision.state === "held") this.#hold(decision);
    void this.follow(decision.uid);
    return decision;
  }

  /** Take the newest held one back. */
  async undo(uid = this.held.at(-1)?.uid): Promise<void> {
    if (uid === undefined) return;
    try {
      const decision = await persistent(() => send("delete", "/api/decisions/{uid}", { path: { uid } }));
      this.#release(uid);
      this.#tell(decision);
      toasts.show({ kind: "ok", title: "Taken back.", sentence: decision.sentence });
    } catch (error) {
      this.#release(uid);
      toasts.failed("It was not taken back.", error);
    }
  }

  /** Whether this page sent it, or let it go on, and says itself how it ends. */
  follows(uid: string): boolean {
    return this.#followed.has(uid);
  }

  /** Look at a decision until nothing more happens to it by itself, and say how it ended. */
  async follow(uid: string): Promise<void> {
    this.#followed.add(uid);
    for (let looks = 0; looks < 200; looks++) {
      await pause(LOOK_MS);
      let decision: Decision;
      try {
        decision = await get("/api/decisions/{uid}", { path: { uid } });
      } catch (error) {
        // a page that cannot look now looks again; one that may not see it never will
        if (error instanceof ApiError && error.status >= 400 && error.status < 500) return;
        continue;
      }
      if (decision.state !== "held") this.#release(uid);
      this.#tell(decision);
      if (RESTS.has(decision.state)) {
        this.#end(decision);
        return;
      }
    }
  }

  #hold(decision: Decision): void {
    if (this.held.length === 0) this.#leave = keys.register({ keys: ["z"], does: "Take the decision back", run: () => void this.undo() });
    this.held = [...this.held, decision];
    const seconds = Math.max(0, Math.round((Date.parse(decision.hold_until) - Date.now()) / 1000));
    const close = toasts.show({
      kind: "ok",
      title: decision.sentence,
      sentence: `It is sent in ${seconds}\u00a0s.`,
      action: { label: "Undo", key: "Z", run: () => void this.undo(decision.uid) },
      lasts: seconds * 1000,
    });
    this.#closers.set(decision.uid, close);
  }

  #release(uid: string): void {
    this.#closers.get(uid)?.();
    this.#closers.delete(uid);
    this.held = this.held.filter((each) => each.uid !== uid);
    if (this.held.length === 0) this.#leave();
  }

  #end(decision: Decision): void {
    if (decision.state === "done") toasts.show({ kind: "ok", title: "Written.", sentence: decision.sentence });
    if (decision.state === "changed") toasts.show({ kind: "bad", title: "Nothing was written.", sentence: decision.sentence });
    if (decision.state === "stuck") toasts.show({ kind: "warn", title: "Not everything was written.", sentence: decision.sentence });
  }

  #tell(decision: Decision): void {
    for (const listener of this.#heard) listener(decision);
  }
}

/** What may be asked twice is asked again when nothing answered. */
async function persistent<T>(ask: () => Promise<T>): Promise<T> {
  for (let left = TRIES - 1; ; left--) {
    try {
      return await ask();
    } catch (error) {
      const isLost = error instanceof ApiError && (error.status === 0 || error.status === 502 || error.status === 503);
      if (!isLost || left === 0) throw error;
      await pause(500 * 2 ** (TRIES - left));
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

export const sending = new Sending();
