// SPDX-License-Identifier: MPL-2.0
/** What the server put into the page, so that the first view asks nothing. */

export interface Facts {
  is_demo: boolean;
  bugzilla: string;
  /** The newest event of the live stream when the page was made. */
  live: string | null;
  /** Answers of the API, by their address. */
  answers: Record<string, unknown>;
}

function read(): Facts {
  const found = document.getElementById("facts")?.textContent;
  // `npm run dev` serves the shell without facts
  return found ? (JSON.parse(found) as Facts) : { is_demo: false, bugzilla: "", live: null, answers: {} };
}

export const facts: Facts = read();

/** An answer that came with the page, once: the second time it would be old. */
export function take(address: string): unknown {
  const found = facts.answers[address];
  delete facts.answers[address];
  return found;
}
