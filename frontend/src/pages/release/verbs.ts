// SPDX-License-Identifier: MPL-2.0
/** What a person may do to a step, and what follows from it in words; the server decides whether it may be. */

import { send } from "../../lib/api";
import type { IconName } from "../../lib/icons";
import type { Step } from "./layout";
import { named, waiting, type Release } from "./looks";

export interface Verb {
  name: string;
  label: string;
  icon: IconName;
  title: string;
  happens: string[];
  /** Label of the reason's field, null: none is asked. */
  reason: string | null;
  /** Ticking off has a right of its own; all else takes the phase's. */
  isTick?: boolean;
  isDanger?: boolean;
  isFirst?: boolean;
  run: (reason: string) => Promise<unknown>;
}

const OVER = new Set(["success", "skipped"]);

/** The verbs that make sense for a step as it is, the likeliest first. */
export function verbs(release: Release, step: Step): Verb[] {
  const after = release.steps.filter((each) => each.requires.includes(step.uid));
  const blocked = after.filter((each) => each.state === "blocked").map((each) => each.title);
  const others = (each: Step) => each.requires.filter((uid) => uid !== step.uid && !OVER.has(release.steps.find((one) => one.uid === uid)!.state));
  const begins = after.filter((each) => each.state === "blocked" && !others(each).length).map((each) => each.title);
  const goesOn = begins.length ? `${named(begins)} may start then.` : blocked.length ? `${waiting(blocked, "for other steps still")}.` : "Nothing waits for it.";
  const stuck = blocked.length ? `${named(blocked)} cannot start until it is retried or skipped.` : "Nothing waits for it.";
  const change = (verb: string) => (reason: string) =>
    send("post", "/api/pipelines/{uid}/steps/{step}/{verb}", { path: { uid: release.uid, step: step.uid, verb }, body: { reason } });
  const title = `“${step.title}”`;

  const retry: Verb = {
    name: "retry", label: "Retry now", icon: "turn", title: `Try ${title} again?`, reason: "Why (optional)", isFirst: true, run: change("retry"),
    happens: [`Try ${step.attempt + 1} begins at once, under a name of its own.`, `When it succeeds: ${goesOn}`],
  };
  const skip: Verb = {
    name: "skip", label: "Skip with a reason", icon: "skip", title: `Go on without ${title}?`, reason: "Why it may be skipped", run: change("skip"),
    happens: ["It counts as done, and your reason stays on record.", goesOn],
  };
  const cancel: Verb = {
    name: "cancel", label: "Cancel step", icon: "stop", title: `Cancel ${title}?`, reason: "Why", isDanger: true, run: change("cancel"),
    happens: ["Its service is told to stop; what it has done already is not undone.", stuck],
  };
  const rerun: Verb = {
    name: "rerun", label: "Run again", icon: "turn", title: `Run ${title} again?`, reason: "Why", isDanger: true, run: change("rerun"),
    happens: ["It begins anew although it succeeded; refused once a later step has taken effect.", "Signatures and checks of the old result are void and asked for again."],
  };
  const unskip: Verb = {
    name: "unskip", label: "Take the skip back", icon: "undo", title: `Do ${title} after all?`, reason: "Why", run: change("unskip"),
    happens: ["It waits for its turn again; refused when a step after it has begun.", ...(after.length ? [`${waiting(after.map((each) => each.title), "for it again")}.`] : [])],
  };
  const letGo: Verb = {
    name: "release", label: "Let it go", icon: "play", title: `Let ${title} start?`, reason: "Why (optional)", isFirst: true, run: change("release"),
    happens: ["Everything it requires is done: it starts at once."],
  };
  const finish = (isDone: boolean): Verb => ({
    isTick: true, name: isDone ? "done" : "not-done", label: isDone ? "Done" : "Could not be done", icon: isDone ? "check" : "x",
    title: isDone ? `Is ${title} done?` : `Could ${title} not be done?`, reason: isDone ? "Comment (optional)" : "Why not", isFirst: isDone, isDanger: !isDone,
    run: (comment) => send("put", "/steps/{kind}/{uid}/done", { path: { kind: "manual", uid: step.step! }, body: { done: isDone, comment, output: {} } }),
    happens: [...(isDone ? [goesOn] : ["The step fails.", stuck]), "It is on record under your name."],
  });
  const halt: Verb = {
    name: "halt", label: "Halt the rollout", icon: "stop", title: "Halt the rollout?", reason: "Why", isDanger: true, isFirst: true,
    run: (reason) => send("put", "/steps/{kind}/{uid}/halt", { path: { kind: "rollout", uid: step.step! }, body: { reason } }),
    happens: ["Nothing is raised any more, and a raise that waits in Balrog is taken back.", "Who is offered the update already goes on to be: to stop that, roll the phase back.", "Halting needs nobody else; going on must be signed."],
  };

  // What only waits has no effect of its own: nothing of it must be cancelled first.
  const goOn: Verb = {
    ...skip, name: "go-on", label: "Go on without it",
    happens: ["It waits no longer and counts as done; your reason stays on record.", goesOn],
  };

  // A cancelled release is not taken up again.
  if (release.wants_cancel) return [];
  const found: Record<string, Verb[]> = {
    failure: [retry, skip], timed_out: [retry, skip], cancelled: [retry, skip],
    blocked: [skip], retrying: [skip, cancel], skipped: [unskip],
    ready: step.reason === "needs_release" ? [letGo, skip] : [skip],
    success: step.kind === "signoff" ? [] : [rerun],
    in_progress: step.kind === "manual" ? [finish(true), finish(false), goOn, cancel]
      : step.kind === "rollout" && !step.details["halted"] ? [halt, cancel]
      : step.kind === "uplifts" || step.kind === "timer" ? [goOn, cancel]
      : [cancel],
  };
  return found[step.state] ?? [];
}
