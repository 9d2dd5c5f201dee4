// SPDX-License-Identifier: MPL-2.0
/** What filters and their values are called. */

import type { Answer } from "./rows";

/** What each filter is called, in the order in which they are offered. */
export const FILTERS: Record<string, string> = {
  group: "Who acts",
  status: "Merge",
  risk: "Risk answer",
  tag: "Mark",
  product: "Product",
  component: "Component",
  who: "Person",
  disagrees: "Answer disagrees",
  security: "Security",
  state: "State",
};

/** A value of a filter as people read it. */
export function worded(answer: Answer, name: string, value: string): string {
  if (name === "group") return answer.groups.find((each) => each.key === value)?.title ?? value;
  return value === "cant-tell" ? "can't tell" : name === "status" ? value.replace("-", " ") : value;
}
