// Calls to the API. Every failure is one of two errors: the server answered and
// refused (ApiError), or it did not answer (Unreachable).

/** One wrong field of a request, as problem details name it. */
export interface FieldError {
  pointer: string;
  detail: string;
}

interface Problem {
  code?: string;
  title?: string;
  detail?: string;
  errors?: FieldError[];
}

/** The server's refusal. `code` is stable and meant for programs, `message` for people. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;
  readonly errors: readonly FieldError[];

  constructor(status: number, problem: Problem) {
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

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await answer(await send(path, { signal: signal ?? null }))) as T;
}

export async function post<T>(path: string, body: unknown): Promise<T> {
  const headers = { 'Content-Type': 'application/json' };
  return (await answer(await send(path, { method: 'POST', headers, body: JSON.stringify(body) }))) as T;
}

/** fetch, whose TypeError for a missing server becomes Unreachable. */
export async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    const headers = new Headers(init.headers);
    headers.set('Accept', 'application/json');
    return await fetch(path, { ...init, headers });
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw new Unreachable('no answer', { cause });
  }
}

async function answer(response: Response): Promise<unknown> {
  const body = await json(response);
  if (!response.ok) throw new ApiError(response.status, body ?? {});
  return body;
}

/** The JSON body, or undefined when it is something else, such as a proxy's page. */
export async function json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (cause) {
    if (response.ok) throw new Unreachable('the answer is not JSON', { cause });
    return undefined;
  }
}
