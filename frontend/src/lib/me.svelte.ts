// SPDX-License-Identifier: MPL-2.0
/** Who looks at the page, and what they may do. */

import { ApiError, get, send, setCsrf, type Schemas } from "./api";
import { router } from "./router.svelte";
import { toasts } from "./toasts.svelte";

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

  /** Where one logs in and comes back here; null for who is logged in, and where nobody can. */
  get loginUrl(): string | null {
    if (!this.person?.login_url) return null;
    const here = router.search ? `${router.path}?${router.search}` : router.path;
    return `${this.person.login_url}?next=${encodeURIComponent(here)}`;
  }

  /** End the session; what was shown may not be seen any more, so everything begins anew. */
  async logOut(): Promise<void> {
    await send("post", "/logout");
    location.assign("/");
  }

  /** Ask again, as after logging in or out elsewhere. */
  async read(): Promise<void> {
    const before = this.person?.client_id ?? null;
    try {
      this.person = await get("/api/me");
    } catch (error) {
      if (!(error instanceof ApiError) || error.status >= 500 || error.status === 0) throw error;
      this.person = null;
    }
    setCsrf(this.person?.csrf ?? null);
    if (before !== null && !this.isLoggedIn) this.#tellEnd();
  }

  #tellEnd(): void {
    const to = this.loginUrl;
    toasts.show({
      kind: "warn",
      title: "Your session has ended",
      sentence: "You see what everybody sees, and decide nothing until you log in again.",
      ...(to ? { action: { label: "Log in", run: () => location.assign(to) } } : {}),
    });
  }
}

/** Up to two letters of a name or an address. */
export function initials(name: string): string {
  const words = name.replace(/@.*|\[.*?\]|\(.*?\)/g, "").split(/[\s._\-/]+/).filter(Boolean);
  const letters = words.length > 1 ? `${words[0]![0]}${words.at(-1)![0]}` : (words[0] ?? "").slice(0, 2);
  return letters.toUpperCase();
}

export const me = new Me();
