// SPDX-License-Identifier: MPL-2.0
/** How the events page words times; sentences and outcomes come from the server. */

const two = (number: number): string => String(number).padStart(2, "0");
const UNITS: readonly [string, number][] = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];

/** "3 min 10 s" of seconds: at most two units; below a second in milliseconds. */
export function span(seconds: number): string {
  if (seconds < 1) return `${Math.round(Math.max(0, seconds) * 1000)}\u00a0ms`;
  if (seconds < 10 && seconds % 1 >= 0.05) return `${seconds.toFixed(1)}\u00a0s`;
  const whole = Math.floor(seconds);
  const place = UNITS.findIndex(([, size]) => whole >= size);
  const [name, size] = UNITS[place]!;
  const said = `${Math.floor(whole / size)}\u00a0${name}`;
  const next = UNITS[place + 1];
  const rest = next ? Math.floor((whole % size) / next[1]) : 0;
  return next && rest ? `${said} ${rest}\u00a0${next[0]}` : said;
}

/** "09:12:31", with the day where it is another one than today's; UTC. */
export function second(at: string, now: number): string {
  const date = new Date(at);
  const said = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  const isToday = new Date(now).toISOString().slice(0, 10) === date.toISOString().slice(0, 10);
  return isToday ? said : `${date.toISOString().slice(5, 10)} ${said}`;
}

/** "09:12:31.204": as exact as the journal is; UTC. */
export function exactly(at: string): string {
  return new Date(at).toISOString().slice(11, 23);
}

/** "1,204". */
export function counted(number: number): string {
  return number.toLocaleString("en");
}
