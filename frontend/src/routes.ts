// SPDX-License-Identifier: MPL-2.0
/** Paths and the pages they open; each page comes when it is first wanted. */

import type { Component } from "svelte";

/** What every page is given: the parts of its path. */
export interface PageProps {
  params: Record<string, string>;
}

interface Route {
  path: RegExp;
  /** The place in the header it belongs to. */
  place: string;
  load: () => Promise<{ default: Component<PageProps> }>;
}

export const PLACES = [["/", "Board"], ["/releases", "Releases"], ["/events", "Events"]] as const;

export const ROUTES: readonly Route[] = [
  { path: /^\/$/, place: "/", load: () => import("./pages/board/Page.svelte") },
  { path: /^\/requests\/(?<uid>[^/]+)$/, place: "/", load: () => import("./pages/request/Page.svelte") },
  { path: /^\/plans\/(?<train>[^/]+)$/, place: "/", load: () => import("./pages/plans/Page.svelte") },
  { path: /^\/releases$/, place: "/releases", load: () => import("./pages/releases/Page.svelte") },
  { path: /^\/releases\/(?<uid>[^/]+)$/, place: "/releases", load: () => import("./pages/release/Page.svelte") },
  { path: /^\/events$/, place: "/events", load: () => import("./pages/events/Page.svelte") },
  { path: /^\/me$/, place: "/me", load: () => import("./pages/me/Page.svelte") },
];

export const MISSING: Route = { path: /^/, place: "", load: () => import("./pages/missing/Page.svelte") };

/** The route of a path, and the parts of the path by name. */
export function find(path: string): { route: Route; params: Record<string, string> } {
  for (const route of ROUTES) {
    const match = route.path.exec(path);
    if (match) {
      const parts = Object.entries(match.groups ?? {});
      return { route, params: Object.fromEntries(parts.map(([name, value]) => [name, decoded(value)])) };
    }
  }
  return { route: MISSING, params: {} };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
