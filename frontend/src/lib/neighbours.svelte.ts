// SPDX-License-Identifier: MPL-2.0
/** The requests of the list one came from, in its order: the page of one of them goes on to the next. */

const STORED = "shipit.list";

interface Named {
  readonly uid: string;
}

class Neighbours {
  // Nobody draws anew because of it: a page that shows where it stands looks when it is opened.
  #rows: readonly Named[] = read();
  #isStored = true;

  /** The list that is looked through now. Cheap: called whenever it changes. */
  keep(rows: readonly Named[]): void {
    this.#rows = rows;
    this.#isStored = false;
  }

  /** Where a request stands in it: the one before, the one after, "3 of 25"; null where it is not in it. */
  of(uid: string): { before: string | null; after: string | null; place: string } | null {
    if (!this.#isStored) this.#store();
    const rows = this.#rows;
    const at = rows.findIndex((row) => row.uid === uid);
    if (at < 0) return null;
    return { before: rows[at - 1]?.uid ?? null, after: rows[at + 1]?.uid ?? null, place: `${at + 1} of ${rows.length}` };
  }

  #store(): void {
    this.#isStored = true;
    try {
      sessionStorage.setItem(STORED, JSON.stringify(this.#rows.map((row) => row.uid)));
    } catch {
      // a full or forbidden storage forgets the list at the next reload, no more
    }
  }
}

function read(): readonly Named[] {
  try {
    const found: unknown = JSON.parse(sessionStorage.getItem(STORED) ?? "[]");
    return Array.isArray(found) ? found.filter((one): one is string => typeof one === "string").map((uid) => ({ uid })) : [];
  } catch {
    return [];
  }
}

export const neighbours = new Neighbours();
