// SPDX-License-Identifier: MPL-2.0
/** The cells of a request, in two lines. Words come with the row; clicks and keys are the table's. */

import { age, exact } from "../../lib/clock.svelte";
import { html, type Html } from "../../lib/html";
import { icon } from "../../lib/marks";
import { initials } from "../../lib/me.svelte";
import { brief, COLOUR, ICON, RISK, short, type Status } from "./look";
import type { Row } from "./rows";

/** Another train that has a column. */
export interface Other {
  name: string;
  title: string;
  isWide: boolean;
}

/** What is beside the row: the train whose board it is, the others, the moment, whether the row has just changed. */
export interface Beside {
  here: string;
  others: readonly Other[];
  now: number;
  isMarked: boolean;
}

const FORM = { read: "not said", unread: "not readable", none: "no form" };
const NONE = html`<span class="na">–</span>`;

const grouped = (number: number): string => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
const count = (number: number, word: string): string => (number === 1 ? `1 ${word}` : `${number} ${word}s`);

/** All cells but the first, which holds the box that selects the row. */
export function cells(row: Row, { here, others, now, isMarked }: Beside): string {
  const link = `/requests/${encodeURIComponent(row.uid)}`;
  const said = [row.here.sentence, ...row.here.notes].join(" ");
  return html`<div class="c-id" role="rowheader"><a class="id" tabindex="-1" href="${link}">${row.bug}</a>${isMarked && html`<i class="mark" title="Changed just now"></i>`}</div>
<div class="c-sum" role="gridcell"><a class="sum" tabindex="-1" href="${link}" title="${row.summary}">${row.summary}</a><div class="sub"><span class="place">${row.product} · ${row.component}</span>${row.is_restricted && html` <span class="tag warn">${icon("lock")}Security</span>`}${row.tags.map((tag) => html` <span class="tag">${tag}</span>`)}${disagreement(row)}</div></div>
<div class="c-who" role="gridcell">${row.who ? html`<span class="who" title="${row.who.role}: ${row.who.name}"><span aria-hidden="true">${initials(row.who.name)}</span><span class="vh">${row.who.role} ${row.who.name}</span></span>` : NONE}</div>
<div class="c-age" role="gridcell">${row.requested_at ? html`<time datetime="${row.requested_at}" title="Asked ${exact(row.requested_at)}">${age(row.requested_at, now)}</time>` : html`<span class="na">–<span class="vh">when it was asked is not known</span></span>`}</div>
<div class="c-risk" role="gridcell">${risk(row)}</div>
<div class="c-size num" role="gridcell">${size(row)}</div>
<div class="c-here" role="gridcell" title="${said}"><span class="st ${COLOUR[row.here.colour]}">${icon(ICON[row.here.key], row.here.key === "retesting")}<span>${short(row.here)}</span><span class="vh"> on ${here}. ${said}</span></span>${under(row)}</div>
${others.map((train) => html`<div class="c-o${train.isWide && " wide"}" role="gridcell">${elsewhere(row.others[train.name], train.title)}</div>`)}`.text;
}

function disagreement({ disagrees }: Row): Html | false {
  if (!disagrees.length) return false;
  const words = disagrees.length === 1 ? disagrees[0]! : `${disagrees.length} answers disagree`;
  return html` <span class="disagree" title="${disagrees.join("; ")}">${icon("warn")}<span>${words}</span></span>`;
}

function risk(row: Row): Html {
  const known = row.risk === null ? undefined : RISK[row.risk];
  if (known === undefined) return html`<span class="na">${FORM[row.form]}</span>`;
  const bars = [1, 2, 3].map((bar) => html`<i class="${bar <= known.bars && "on"}"></i>`);
  return html`<span class="risk${row.risk === "high" && " hi"}"><span class="bars" aria-hidden="true">${bars}</span>${known.word}</span>`;
}

function size({ size, here }: Row): Html {
  if (!size) return html`<span class="na">${here.detail === "no patch to test" ? "no patch" : "not measured"}</span>`;
  const { added, deleted, files, tests, is_whole } = size;
  return html`+${grouped(added)} <span class="minus">−${grouped(deleted)}</span><span class="l2">${count(files, "file")}${tests > 0 && `, ${tests} test`}${!is_whole && ", not all"}</span>`;
}

/** The second line of the train's own cell. */
function under({ decided, says, here }: Row): Html | false {
  const isHeld = decided !== null && ["held", "writing"].includes(decided.state);
  const words = isHeld ? `${decided.word} by ${decided.by}, being written` : says || here.detail;
  return words ? html`<span class="l2">${words}</span>` : false;
}

function elsewhere(status: (Status & { request: string }) | undefined, train: string): Html {
  if (!status) return html`<span class="na"><span aria-hidden="true">–</span><span class="vh">not asked for ${train}</span></span>`;
  return html`<a class="st ${COLOUR[status.colour]}" tabindex="-1" href="/requests/${encodeURIComponent(status.request)}" title="${status.sentence}">${icon(ICON[status.key])}<span aria-hidden="true">${brief(status)}</span><span class="vh">${status.word} on ${train}</span></a>`;
}
