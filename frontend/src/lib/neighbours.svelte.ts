// SPDX-License-Identifier: MPL-2.0
/** The requests of the list one came from, in its order: the page of one of them goes on to the next. */

const STORED = "shipit.list";

class Neighbours {
  #uids: readonly string[];

  constructor() {
    this.#uids = read();
  }

  /** The list that is looked through now. */
  set(uids: readonly string[]): void {
    this.#uids = uids;
    try {
      sessionStorage.setItem(STORED, JSON.stringify(uids));
    } catch {
      // a full or forbidden storage forgets the list at the next reload, no more
    }
  }

  /** Where a request stands in it: the one before, the one after, "3 of 25"; null where it is not in it. */
  of(uid: string): { before: string | null; after: string | null; place: string } | null {
    const at = this.#uids.indexOf(uid);
    if (at < 0) return null;
    return { before: this.#uids[at - 1] ?? null, after: this.#uids[at + 1] ?? null, place: `${at + 1} of ${this.#uids.length}` };
  }
}

function read(): readonly string[] {
  try {
    const found: unknown = JSON.parse(sessionStorage.getItem(STORED) ?? "[]");
    return Array.isArray(found) ? found.filter((one): one is string => typeof one === "string") : [];
  } catch {
    return [];
  }
}

export const neighbours = new Neighbours();
