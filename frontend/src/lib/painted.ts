// SPDX-License-Identifier: MPL-2.0
/** What waits until something else is on the screen. A hidden page is not painted at all: there nothing waits. */

const frame = (): Promise<unknown> => (document.hidden ? Promise.resolve() : new Promise(requestAnimationFrame));

/** After the shell's first paint. */
export async function shellPainted(): Promise<void> {
  if (performance.getEntriesByName("first-contentful-paint").length) return;
  await frame();
  await new Promise((done) => setTimeout(done));
}

let settle: () => void;
/** When the first view is on the screen; what is not part of it is fetched after that. */
export const settled = new Promise<void>((done) => (settle = done));

/** Call this when the first view is drawn. The second frame begins when the first one is made. */
export async function drawn(): Promise<void> {
  await frame();
  await frame();
  settle();
}
