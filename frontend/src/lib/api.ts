// SPDX-License-Identifier: MPL-2.0
/** The API, typed by its own description (schema.d.ts); whatever goes wrong is one kind of error. */

import { take } from "./facts";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Problem = paths["/api/trains"]["get"]["responses"][500]["content"]["application/problem+json"];

type Json<T> = T extends { content: { "application/json": infer Body } } ? Body : undefined;
type Answer<Operation> = Operation extends { responses: infer All }
  ? Json<All[Extract<keyof All, 200 | 201 | 202 | 204>]>
  : never;
type Body<Operation> = Operation extends { requestBody: { content: { "application/json": infer Given } } }
  ? Given
  : undefined;
type With<Method extends string> = {
  [Path in keyof paths]: paths[Path] extends Record<Method, { responses: unknown }> ? Path : never;
}[keyof paths];
type Operation<Path extends keyof paths, Method extends string> =
  paths[Path] extends Record<Method, infer Found> ? Found : never;

/** What fills a path's braces and its query; what is undefined or null is left out. */
export interface Where {
  path?: Record<string, string | number>;
  query?: Record<string, string | number | boolean | null | undefined>;
}

/** A refusal or a failure, worded for people. status 0: nothing answered. */
export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem | null;

  constructor(status: number, message: string, problem: Problem | null = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.problem = problem;
  }

  /** Whether logging in could help. */
  get needsLogin(): boolean {
    return this.status === 401;
  }
}

const SECONDS = 30;
const kept = new Map<string, { tag: string; value: unknown }>();
let csrf: string | null = null;
let refused: () => void = () => undefined;

/** Call this when a call is refused for want of a login or a right: both may have ended meanwhile. */
export function whenRefused(run: () => void): void {
  refused = run;
}

/** The token that every write carries; it comes with GET /api/me. */
export function setCsrf(token: string | null): void {
  csrf = token;
}

/** The address of a path with its parts and query. */
export function address(path: string, where: Where = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(where.path?.[name] ?? "")));
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(where.query ?? {})) {
    if (value !== undefined && value !== null) query.set(name, String(value));
  }
  const asked = query.toString();
  return asked ? `${filled}?${asked}` : filled;
}

/** Read; an answer that has not changed is the same object as before, so that nothing is drawn anew. */
export async function get<Path extends With<"get">>(
  path: Path,
  where: Where = {},
  signal?: AbortSignal,
): Promise<Answer<Operation<Path, "get">>> {
  const from = address(path, where);
  const given = take(from);
  if (given !== undefined) return given as Answer<Operation<Path, "get">>;
  const answer = await call("GET", from, undefined, signal);
  const tag = answer.headers.get("etag");
  const old = kept.get(from);
  if (tag && old?.tag === tag) return old.value as Answer<Operation<Path, "get">>;
  const value: unknown = await answer.json();
  if (tag) kept.set(from, { tag, value });
  return value as Answer<Operation<Path, "get">>;
}

/** Write. `unless`: the revision that was seen; another one there is refused (412). */
export async function send<Method extends "post" | "put" | "delete", Path extends With<Method>>(
  method: Method,
  path: Path,
  where: Where & { body?: Body<Operation<Path, Method>>; unless?: number } = {},
): Promise<Answer<Operation<Path, Method>>> {
  const answer = await call(method.toUpperCase(), address(path, where), where.body, undefined, where.unless);
  const said = await answer.text();
  return (said ? JSON.parse(said) : undefined) as Answer<Operation<Path, Method>>;
}

async function call(method: string, to: string, body?: unknown, signal?: AbortSignal, unless?: number): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET" && csrf) headers["X-Csrf-Token"] = csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (unless !== undefined) headers["If-Match"] = `"${unless}"`;
  const limit = AbortSignal.timeout(SECONDS * 1000);
  let answer: Response;
  try {
    answer = await fetch(to, {
      method,
      headers,
      credentials: "same-origin",
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    const slow = error instanceof DOMException && error.name === "TimeoutError";
    throw new ApiError(0, slow ? `Ship It did not answer within ${SECONDS} s.` : "Ship It cannot be reached.");
  }
  if (answer.status === 401 || answer.status === 403) refused();
  if (!answer.ok) throw await failed(answer);
  return answer;
}

async function failed(answer: Response): Promise<ApiError> {
  const problem = (await answer.json().catch(() => null)) as Problem | null;
  const said = problem?.detail || problem?.title || `Ship It answered ${answer.status}.`;
  return new ApiError(answer.status, said, problem);
}
