// SPDX-License-Identifier: MPL-2.0
/** Every key of a page, registered by what it does; `?` lists them, and single keys can be switched off. */

import { untrack } from "svelte";

export interface Key {
  /** As people read it: "j", "Shift+x", "Ctrl+Enter", "g b" (one after the other), "Escape". */
  keys: readonly string[];
  does: string;
  run: (event: KeyboardEvent) => void;
  /** Works while a field has the focus. */
  inFields?: boolean;
  /** Not listed under `?`. */
  quiet?: boolean;
}

const STORED = "shipit.keys";
const SEQUENCE_MS = 1200;

class Keys {
  /** Whether single letters act. */
  isOn = $state(localStorage.getItem(STORED) !== "off");
  /** Newest first, so that a dialog's keys win over the page's. */
  all: readonly Key[] = $state.raw([]);
  // The same, as it is now: an effect that ends reads states as they were when it began.
  #known: readonly Key[] = [];
  /** Of the page under a dialog: they wait until it is closed. */
  #waiting: ReadonlySet<Key> = new Set();
  #first = "";
  #firstAt = 0;

  toggle(): void {
    this.isOn = !this.isOn;
    localStorage.setItem(STORED, this.isOn ? "on" : "off");
  }

  /** Add keys until the returned function is called. */
  register(...keys: Key[]): () => void {
    this.#keep([...keys, ...this.#known]);
    return () => this.#keep(this.#known.filter((key) => !keys.includes(key)));
  }

  #keep(known: readonly Key[]): void {
    this.#known = known;
    // Whoever registers in an effect must not depend on what all the others registered.
    untrack(() => (this.all = known));
  }

  /** Let the keys that are registered now wait until the returned function is called, as under a dialog. */
  hold(): () => void {
    const before = this.#waiting;
    this.#waiting = new Set(untrack(() => this.all));
    return () => (this.#waiting = before);
  }

  /** Listen on the document. */
  start(): void {
    document.addEventListener("keydown", (event) => this.#press(event));
  }

  #press(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing) return;
    const inField = isField(event.target);
    const pressed = spelled(event);
    const inSequence = performance.now() - this.#firstAt < SEQUENCE_MS && this.#first !== "";
    const whole = inSequence ? `${this.#first} ${pressed}` : pressed;
    const found = this.#find(whole, inField) ?? (inSequence ? this.#find(pressed, inField) : undefined);
    this.#first = "";
    if (found) {
      event.preventDefault();
      found.run(event);
    } else if (!inField && this.all.some((key) => key.keys.some((each) => each.startsWith(`${pressed} `)))) {
      this.#first = pressed;
      this.#firstAt = performance.now();
    }
  }

  #find(pressed: string, inField: boolean): Key | undefined {
    const isLetter = !/(Ctrl|Alt|Enter|Escape|Arrow|Home|End|Page)/.test(pressed);
    if (isLetter && !this.isOn && pressed !== "?") return undefined;
    return this.all.find((key) => !this.#waiting.has(key) && (!inField || key.inFields) && key.keys.includes(pressed));
  }
}

function isField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button"].includes(target.type);
  return target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}

function spelled(event: KeyboardEvent): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const isLetter = /^[a-z]$/.test(key);
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  // "?" is typed with Shift on some keyboards and without on others: only letters say it.
  if (event.shiftKey && (isLetter || event.key.length > 1)) parts.push("Shift");
  return [...parts, key].join("+");
}

export const keys = new Keys();
