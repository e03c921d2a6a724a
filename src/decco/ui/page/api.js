// Requests to the server, with the token of the URL that decco ui has printed.

const KEY = "decco-token";
const RETRY_SECONDS = [1, 2, 5, 10];

export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Moves the token from the address bar, and so from the history, into the storage of this tab. */
export function takeToken() {
  const found = /^#token=([A-Za-z0-9_-]+)$/.exec(location.hash);
  if (found === null) return;
  sessionStorage.setItem(KEY, found[1]);
  history.replaceState(null, "", "#/");
}

function request(path, options = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  return fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
}

/** The data of a page. Throws RequestError. */
export async function data(path) {
  let answer;
  try {
    answer = await request(path);
  } catch {
    throw new RequestError(0, "decco ui does not answer: is it still running?");
  }
  const text = await answer.text();
  if (answer.ok) return text;
  let message = `the server answers ${answer.status}`;
  try {
    message = JSON.parse(text).error ?? message;
  } catch {
    // Not of decco: the number has to do.
  }
  throw new RequestError(answer.status, message);
}

/**
 * Calls `changed` with each state that the server reports, and `lost` when the stream ends. A hidden tab has no stream:
 * browsers open few connections to one host.
 */
export async function follow(changed, lost) {
  for (let tries = 0; ; ) {
    await visible();
    const stop = new AbortController();
    const hide = () => document.hidden && stop.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const answer = await request("api/events", { signal: stop.signal });
      if (!answer.ok) throw new RequestError(answer.status, "no stream");
      for await (const state of states(answer.body)) {
        tries = 0;
        changed(state);
      }
      throw new RequestError(0, "the stream has ended");
    } catch (error) {
      if (!stop.signal.aborted) {
        lost(error.status ?? 0);
        await new Promise((resume) => setTimeout(resume, 1000 * RETRY_SECONDS[Math.min(tries, RETRY_SECONDS.length - 1)]));
        tries += 1;
      }
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
  }
}

async function* states(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ")) yield JSON.parse(event.slice(6));
    }
  }
}

function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resume) => document.addEventListener("visibilitychange", resume, { once: true }));
}
