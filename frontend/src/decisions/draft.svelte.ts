// SPDX-License-Identifier: MPL-2.0
/** A decision while it is made: the verdict, its words, and what it would write; the words a person typed stay. */

import { ApiError, send, type Schemas } from "../lib/api";
import { sending, type Decision } from "./sending.svelte";

export type Verdict = Schemas["Wanted"]["verdict"];
export type Preview = Schemas["Preview"];
export type Difference = Schemas["Difference"];
export type Template = Schemas["Template"];

export type Stamp = Schemas["Stamp"];

export const PAUSE_MS = 200;

/** What is decided about: a request, or a bug that has none. */
export interface Subject {
  uid: string;
  bug: number;
  isBug?: boolean;
}

/** A verdict with nothing said. */
function bare(requests: string[]): Schemas["Wanted"] {
  return { verdict: "approve", requests, bugs: [], train: "", comment: "", template: "", until: null, requestee: "", fields: {}, flags: {}, reason: "" };
}

export class Draft {
  verdict: Verdict | null = $state(null);
  template = $state("");
  comment = $state("");
  build = $state("");
  /** As an input of type datetime-local has it; UTC. */
  at = $state("");
  condition = $state("");
  requestee = $state("");
  fields: Record<string, string> = $state({});
  flags: Record<string, string> = $state({});
  /** One more field ("cf_…") or flag of the bug, by its exact name. */
  more = $state({ name: "", value: "" });
  /** Of a batch, the uids that are left out. */
  excluded: ReadonlySet<string> = $state.raw(new Set());

  preview: Preview | null = $state.raw(null);
  /** Why it could not be said what would be written. */
  error: unknown = $state.raw(null);
  /** What is not as it was seen; nothing was written. */
  differences: readonly Difference[] = $state.raw([]);
  isSending = $state(false);
  #isTyped = false;
  #stamps: Record<string, Stamp> = $state.raw({});
  #stop: AbortController | null = null;
  #uid = sending.name();

  constructor(
    readonly subjects: () => readonly Subject[],
    readonly train: () => string,
  ) {}

  /** Take a verdict, with the words of its first template unless a person has typed their own. */
  choose(verdict: Verdict, templates: readonly Template[], words = ""): void {
    this.verdict = verdict;
    this.differences = [];
    const first = templates.find((each) => each.verdict === verdict);
    if (words) {
      this.comment = words;
      this.template = "";
      this.#isTyped = true;
    } else if (!this.#isTyped || this.comment.trim() === "") {
      this.#isTyped = false;
      this.use(first);
    }
    // what is put off names when it comes back
    if (verdict === "defer" && !this.at && !this.condition) this.build = this.stamp?.build ?? "";
  }

  /** Take a template's words; none: empty. Of one request what they name is filled in, of several for each. */
  use(template: Template | undefined): void {
    this.template = template?.key ?? "";
    this.comment = this.#filled(template?.text ?? "");
    this.#isTyped = false;
  }

  /** What the decision is about: train, version, next build; null until it was asked for, or for several. */
  get stamp(): Stamp | null {
    const found = Object.values(this.#stamps);
    return this.subjects().length === 1 ? (found[0] ?? null) : null;
  }

  /** Learn what the requests are about, for words that name it. */
  async learn(): Promise<void> {
    const requests = this.subjects().filter((one) => !one.isBug);
    if (requests.length === 0) return;
    try {
      const preview = await send("post", "/api/decisions/preview", { body: bare(requests.map((one) => one.uid)) });
      this.#learned(preview);
    } catch {
      // the words keep their placeholders, which the server fills in
    }
  }

  #learned(preview: Preview): void {
    if (Object.keys(preview.stamps).length === 0) return;
    this.#stamps = preview.stamps;
    if (!this.#isTyped) this.comment = this.#filled(this.comment);
  }

  #filled(text: string): string {
    const stamp = this.stamp;
    if (stamp === null) return text;
    const known: Record<string, string | null | undefined> = {
      "{build}": stamp.build,
      "{version}": stamp.major === null || stamp.major === undefined ? stamp.version : String(stamp.major),
      "{train}": stamp.train,
    };
    return Object.entries(known).reduce((words, [place, value]) => (value ? words.replaceAll(place, value) : words), text);
  }

  /** A person types. */
  typed(words: string): void {
    this.comment = words;
    this.#isTyped = true;
  }

  /** Begin anew. */
  clear(): void {
    this.verdict = null;
    this.template = this.comment = this.build = this.at = this.condition = this.requestee = "";
    this.fields = {};
    this.flags = {};
    this.more = { name: "", value: "" };
    this.preview = null;
    this.error = null;
    this.differences = [];
    this.excluded = new Set();
    this.#isTyped = false;
    this.#uid = sending.name();
  }

  get chosen(): readonly Subject[] {
    return this.subjects().filter((one) => !this.excluded.has(one.uid));
  }

  /** What is wanted, as the API takes it; null while it is not whole. */
  get wanted(): Schemas["Wanted"] | null {
    const requests = this.chosen.filter((one) => !one.isBug).map((one) => one.uid);
    const bugs = this.chosen.filter((one) => one.isBug).map((one) => one.bug);
    if (this.verdict === null || this.chosen.length === 0) return null;
    const until = { build: this.build, at: this.at ? `${this.at}:00Z` : null, condition: this.condition };
    const isUntil = this.verdict === "defer" && (until.build || until.at || until.condition);
    const filled = (all: Record<string, string>): Record<string, string> =>
      Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
    const name = this.more.name.trim();
    const more = name && this.more.value ? { [name]: this.more.value } : {};
    const isField = name.startsWith("cf_");
    return {
      verdict: this.verdict,
      requests,
      bugs,
      train: bugs.length ? this.train() : "",
      comment: this.comment,
      template: this.comment.trim() ? "" : this.template,
      until: isUntil ? until : null,
      requestee: this.verdict === "ask" ? this.requestee : "",
      fields: filled({ ...this.fields, ...(isField ? more : {}) }),
      flags: filled({ ...this.flags, ...(isField ? {} : more) }),
      reason: "",
    };
  }

  /** Ask what this would write; an older question is given up. */
  async look(): Promise<void> {
    this.#stop?.abort();
    const wanted = this.wanted;
    if (wanted === null) {
      this.preview = null;
      this.error = null;
      return;
    }
    const stop = (this.#stop = new AbortController());
    try {
      const preview = await send("post", "/api/decisions/preview", { body: wanted });
      if (stop.signal.aborted) return;
      this.preview = preview;
      this.error = null;
      this.#learned(preview);
    } catch (error) {
      if (stop.signal.aborted) return;
      this.preview = null;
      this.error = error;
    }
  }

  /** Send what the preview shows. null: it was refused, and `error` or `differences` say why. */
  async send(): Promise<Decision | null> {
    const wanted = this.wanted;
    const preview = this.preview;
    if (wanted === null || preview === null || this.isSending) return null;
    this.isSending = true;
    this.error = null;
    try {
      const body = { ...wanted, seen: preview.seen, stamps: preview.stamps };
      const decision = await sending.send(this.#uid, body);
      this.clear();
      return decision;
    } catch (error) {
      this.#refused(error);
      return null;
    } finally {
      this.isSending = false;
    }
  }

  #refused(error: unknown): void {
    const changed = error instanceof ApiError ? (error.problem as unknown as { differences?: Difference[]; preview?: Preview } | null) : null;
    if (changed?.differences?.length) {
      this.differences = changed.differences;
      this.preview = changed.preview ?? null;
    } else {
      this.error = error;
    }
    // Another body needs another name; whatever this one became is told by its own.
    if (!(error instanceof ApiError) || error.status !== 0) this.#uid = sending.name();
  }
}
