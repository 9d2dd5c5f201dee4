// SPDX-License-Identifier: MPL-2.0
/**
 * HTML as text, for long lists, where an effect for every word costs more than all the words. Whatever is put
 * into it is escaped, but for what this made itself.
 */

/** Text that may stand as HTML; made by `html` alone. */
class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}
export type { Html };

type Value = string | number | Html | readonly Html[] | null | false;

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function textOf(value: Value): string {
  if (value === null || value === false) return "";
  if (value instanceof Html) return value.text;
  if (typeof value === "object") return value.map((each) => each.text).join("");
  return String(value).replace(/[&<>"']/g, (sign) => ESCAPES[sign]!);
}

/** html`<b title="${any}">${any}</b>`: attributes stand in quotes; null and false are nothing. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  let text = parts[0]!;
  for (let at = 0; at < values.length; at++) text += textOf(values[at]!) + parts[at + 1]!;
  return new Html(text);
}
