// SPDX-License-Identifier: MPL-2.0
/** Short messages at the edge: a success leaves by itself, an error stays until it is closed. */

import { untrack } from "svelte";

export interface Toast {
  kind: "ok" | "warn" | "bad";
  title: string;
  sentence?: string;
  action?: { label: string; key?: string; run: () => void };
  /** Milliseconds until it leaves; warnings and errors stay unless this says otherwise. */
  lasts?: number;
}

export interface Shown extends Toast {
  id: number;
}

class Toasts {
  all: Shown[] = $state([]);
  #next = 1;

  /** Show one; returns what closes it. */
  show(toast: Toast): () => void {
    const id = this.#next++;
    untrack(() => this.all.push({ ...toast, id }));
    return () => this.close(id);
  }

  /** An error in its own words. */
  failed(title: string, error: unknown): void {
    this.show({ kind: "bad", title, sentence: error instanceof Error ? error.message : String(error) });
  }

  close(id: number): void {
    this.all = this.all.filter((each) => each.id !== id);
  }
}

export const toasts = new Toasts();
