// SPDX-License-Identifier: MPL-2.0
/** The symbols of icons.svg. */

export type IconName =
  | "ask" | "before" | "box" | "check" | "clock" | "copy" | "dash" | "down" | "eye" | "filter" | "landed" | "left"
  | "lock" | "mail" | "off" | "out" | "pen" | "person" | "play" | "plus" | "right" | "rows" | "search" | "shift"
  | "ship" | "skip" | "sort" | "stop" | "turn" | "undo" | "warn" | "x";
