// The API as this page uses it. The token is kept for the session of this tab and goes into a header.

const KEY = "sitewatch-token";

export function token() {
  return sessionStorage.getItem(KEY) ?? "";
}

export function setToken(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/** An answer that is an error: RFC 9457, or what is left of it when a proxy answered. */
export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
    this.status = status;
    this.errors = Array.isArray(problem.errors) ? problem.errors : [];
  }
}

/** Who is told when a token is no longer good. */
export const onRefused = { tell() {} };

export function authorization() {
  const value = token();
  return value ? { Authorization: `Bearer ${value}` } : {};
}

export async function problemOf(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // No JSON: the status has to do.
  }
  return new Problem(response.status, problem ?? {});
}

/** {data, tag}: the JSON of an answer, undefined when it has no body, and its ETag. */
export async function ask(method, path, { body, type = "application/json", headers = {}, signal } = {}) {
  const given = { Accept: "application/json", ...authorization(), ...headers };
  if (body !== undefined) given["Content-Type"] = type;
  let response;
  try {
    response = await fetch(path, {
      method, signal, headers: given, body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "the server does not answer" });
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    if (problem.status === 401) onRefused.tell(problem);
    throw problem;
  }
  return { data: response.status === 204 ? undefined : await response.json(), tag: response.headers.get("ETag") };
}

export async function get(path, options) {
  return (await ask("GET", path, options)).data;
}

let described;

/** The description of the API, read once. */
export function description() {
  described ??= get("/openapi.json").catch((error) => {
    described = undefined;
    throw error;
  });
  return described;
}
