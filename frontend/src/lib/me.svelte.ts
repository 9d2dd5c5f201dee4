// SPDX-License-Identifier: MPL-2.0
/** Who looks at the page, and what they may do. */

import { ApiError, get, setCsrf, type Schemas } from "./api";

export type Person = Schemas["Me"];

class Me {
  /** null: not known yet, or nobody could be asked. */
  person: Person | null = $state.raw(null);

  get isLoggedIn(): boolean {
    return this.person?.client_id != null;
  }

  /** "RM" of "Rosa Mann": what stands for a person where there is little room. */
  get initials(): string {
    return initials(this.person?.name ?? this.person?.client_id ?? "");
  }

  /** Ask again, as after logging in or out elsewhere. */
  async read(): Promise<void> {
    try {
      this.person = await get("/api/me");
    } catch (error) {
      if (!(error instanceof ApiError) || error.status >= 500 || error.status === 0) throw error;
      this.person = null;
    }
    setCsrf(this.person?.csrf ?? null);
  }
}

/** Up to two letters of a name or an address. */
export function initials(name: string): string {
  const words = name.replace(/@.*/, "").split(/[\s._\-/]+/).filter(Boolean);
  const letters = words.length > 1 ? `${words[0]![0]}${words.at(-1)![0]}` : (words[0] ?? "").slice(0, 2);
  return letters.toUpperCase();
}

export const me = new Me();
