// SPDX-License-Identifier: MPL-2.0
/** Where we are: the address is the one place that knows, and links are plain links. */

class Router {
  path = $state(location.pathname);
  query = $state(new URLSearchParams(location.search));
  /** The same words as in the address bar, for who compares. */
  readonly search = $derived(this.query.toString());

  /** Open a page of ours. */
  go(to: string): void {
    history.pushState(null, "", to);
    this.#read();
    scrollTo(0, 0);
  }

  /** Change the query of this page; `keep` makes no step in the history (typing does not). */
  ask(changes: Record<string, string | null>, { keep = false } = {}): void {
    const query = new URLSearchParams(this.query);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === "") query.delete(name);
      else query.set(name, value);
    }
    const said = query.toString();
    if (said === this.search) return;
    const to = said ? `${this.path}?${said}` : this.path;
    if (keep) history.replaceState(null, "", to);
    else history.pushState(null, "", to);
    this.query = query;
  }

  /** Follow the browser's own steps, and links to pages of ours. */
  listen(isOurs: (path: string) => boolean): void {
    addEventListener("popstate", () => this.#read());
    document.addEventListener("click", (event) => {
      if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      const link = (event.target as Element).closest?.("a[href]");
      if (!(link instanceof HTMLAnchorElement) || link.target || link.hasAttribute("download")) return;
      if (link.origin !== location.origin || !isOurs(link.pathname)) return;
      if (link.pathname === location.pathname && link.hash) return;
      event.preventDefault();
      this.go(link.pathname + link.search + link.hash);
    });
  }

  #read(): void {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }
}

export const router = new Router();
