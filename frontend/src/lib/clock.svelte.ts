// SPDX-License-Identifier: MPL-2.0
/** The time, and how it is worded: UTC, ages in minutes to 60, hours to 24, then days. */

class Clock {
  /** Milliseconds; moves on every half minute, so that ages on a page grow. */
  now = $state(Date.now());

  constructor() {
    setInterval(() => (this.now = Date.now()), 30_000);
  }
}

export const clock = new Clock();

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const two = (number: number): string => String(number).padStart(2, "0");

/** "17 h": how long ago, or how long until. Units never break from their figure. */
export function age(at: string | number, now: number): string {
  const span = Math.abs(now - +new Date(at));
  if (span < MINUTE) return "now";
  if (span < HOUR) return `${Math.floor(span / MINUTE)}\u00a0min`;
  if (span < DAY) return `${Math.floor(span / HOUR)}\u00a0h`;
  return `${Math.floor(span / DAY)}\u00a0d`;
}

/** "2 d 11 h": a span in two units; of less than a minute the seconds. */
export function span(milliseconds: number): string {
  const left = Math.max(0, milliseconds);
  const days = Math.floor(left / DAY);
  const hours = Math.floor((left % DAY) / HOUR);
  const minutes = Math.floor((left % HOUR) / MINUTE);
  if (days) return `${days}\u00a0d ${hours}\u00a0h`;
  if (hours) return `${hours}\u00a0h ${minutes}\u00a0min`;
  return minutes ? `${minutes}\u00a0min` : `${Math.round(left / 1000)}\u00a0s`;
}

/** "09:12" today, else "3 Sep 09:12"; UTC, which whoever shows it says. */
export function moment(at: string | number, now: number): string {
  const date = new Date(at);
  const clockTime = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
  const isToday = new Date(now).toISOString().slice(0, 10) === date.toISOString().slice(0, 10);
  return isToday ? clockTime : `${day(at)} ${clockTime}`;
}

/** "3 Sep", with the year where it is another one. */
export function day(at: string | number, now = Date.now()): string {
  const date = new Date(at);
  const year = date.getUTCFullYear() === new Date(now).getUTCFullYear() ? "" : ` ${date.getUTCFullYear()}`;
  return `${date.getUTCDate()}\u00a0${MONTHS[date.getUTCMonth()]}${year}`;
}

/** "Sun 3 Sep". */
export function weekday(at: string | number): string {
  return `${DAYS[new Date(at).getUTCDay()]} ${day(at)}`;
}

/** "2023-09-03 21:00:12 UTC": the exact moment, for titles. */
export function exact(at: string | number): string {
  return new Date(at).toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
}
