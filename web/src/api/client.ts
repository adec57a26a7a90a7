// Calls to the API, typed by its OpenAPI document (schema.d.ts is generated from
// it). Every failure is one of two errors: the server answered and refused
// (ApiError), or it did not answer (Unreachable).
import createClient from 'openapi-fetch';
import type { FieldError, ProblemError, paths } from './schema';

/** The server's refusal. `code` is stable and meant for programs, `message` for people. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;
  readonly errors: readonly FieldError[];

  constructor(status: number, problem: Partial<ProblemError>) {
    super(problem.detail ?? problem.title ?? `status ${status}`);
    this.status = status;
    this.code = problem.code ?? '';
    this.errors = problem.errors ?? [];
  }
}

/** No answer: the server is away, or something between us and it. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/**
 * The API by method and path:
 *
 *     ok(api.GET('/api/orders/{id}', { params: { path: { id } }, signal }))
 */
export const api = createClient<paths>({ baseUrl: location.origin, headers: { Accept: 'application/json' }, fetch: send });

/** The body of a successful answer; throws for every other. */
export async function ok<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answered(call);
  if (!response.ok) throw new ApiError(response.status, isProblem(error) ? error : {});
  if (data === undefined) throw new Unreachable('the answer is empty');
  return data;
}

/** What was answered, a refusal too, for a call whose refusals have a body of their own. */
export async function answered<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    // A page in place of JSON comes from something before the server.
    if (cause instanceof SyntaxError) throw new Unreachable('the answer is not JSON', { cause });
    throw cause;
  }
}

/** fetch, whose TypeError for a missing server becomes Unreachable. */
async function send(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (cause) {
    if (request.signal.aborted) throw cause;
    throw new Unreachable('no answer', { cause });
  }
}

function isProblem(body: unknown): body is Partial<ProblemError> {
  return typeof body === 'object' && body !== null;
}
