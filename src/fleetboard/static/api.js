/** How the pages talk to the API: JSON in, JSON out, and every failure a sentence. */

const SIGN_IN = "/sign-in";
const PAGE = 500; // the most that the API gives at once

/** A request that did not do what it should; its message can be shown. */
export class ApiError extends Error {
  /**
   * @param {string} sentence what went wrong
   * @param {number} status HTTP status; 0 if there was no answer
   * @param {Record<string, string>} fields what is wrong with which field
   */
  constructor(sentence, status = 0, fields = {}) {
    super(sentence);
    this.status = status;
    this.fields = fields;
  }
}

/**
 * Sends one request.
 * @param {string} path path and query on our own origin
 * @param {{method?: string, body?: object, public?: boolean}} options `public`: a 401 is an answer, not the end of
 *   the session
 * @returns {Promise<any>} what was answered; null if that was nothing
 * @throws {ApiError} any other answer than success, or none
 */
export async function api(path, options = {}) {
  const response = await ask(path, options);
  if (response.status === 401 && !options.public) return leave();
  const document = await read(response);
  if (response.ok) return document;
  const sentence = typeof document?.error === "string" ? document.error : `the server answered ${response.status}`;
  throw new ApiError(sentence, response.status, document?.fields ?? {});
}

/**
 * Fetches a whole list, page by page.
 * @param {string} path path and query of the list, without limit and offset
 * @returns {Promise<object[]>}
 * @throws {ApiError}
 */
export async function all(path) {
  const items = [];
  for (let total = Infinity; items.length < total; ) {
    const joint = path.includes("?") ? "&" : "?";
    const page = await api(`${path}${joint}limit=${PAGE}&offset=${items.length}`);
    items.push(...page.items);
    total = page.items.length ? page.total : items.length;
  }
  return items;
}

/** Goes to the sign-in page, and afterwards comes back here. The promise stays open: nothing else shall happen. */
function leave() {
  const here = location.pathname + location.search;
  location.assign(`${SIGN_IN}?next=${encodeURIComponent(here)}`);
  return new Promise(() => {});
}

async function ask(path, { method = "GET", body }) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError("the server can’t be reached");
  }
}

async function read(response) {
  const text = await response.text().catch(() => "");
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new ApiError("the server’s answer can’t be read", response.status);
    return null;
  }
}
