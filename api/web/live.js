// Changes as they happen, from GET /events. It is read with fetch(): EventSource sends no header, and
// the token does not go into an address.

import { authorization, onRefused, problemOf } from "./api.js";

const SILENCE_MS = 45000; // the server says something every 15 s
const RETRY_MS = 1000;
const RETRY_MS_MAX = 15000;

/** Lines of a stream of events (HTML, 9.2.6) to calls of onEvent({type, id, data}). */
export function eventParser(onEvent) {
  let rest = "";
  let event = { type: "message", data: [] };
  let id;
  return (text) => {
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (line === "") {
        if (event.data.length > 0) onEvent({ type: event.type, id, data: event.data.join("\n") });
        event = { type: "message", data: [] };
      } else if (field === "event") event.type = value;
      else if (field === "data") event.data.push(value);
      else if (field === "id") id = value;
    }
  };
}

/**
 * Keeps a stream open. `on` has: event(type, data), with the data as JSON; lost() when something may
 * have been missed, so that all is to be read anew; status("live" | "waiting" | "none").
 */
export class Live {
  constructor(on) {
    this.on = on;
    this.lastId = undefined;
    this.ended = true;
  }

  start() {
    if (!this.ended) return;
    this.ended = false;
    this.run();
  }

  stop() {
    this.ended = true;
    this.lastId = undefined;
    this.abort?.abort();
    clearTimeout(this.timer);
    this.wake?.();
  }

  async run() {
    let wait = RETRY_MS;
    while (!this.ended) {
      const how = await this.read().catch(() => "failed");
      clearTimeout(this.timer);
      if (how === "refused" || this.ended) break;
      this.on.status("waiting");
      wait = how === "ended" ? RETRY_MS : Math.min(wait * 2, RETRY_MS_MAX);
      await new Promise((resolve) => {
        this.wake = resolve;
        this.timer = setTimeout(resolve, wait * (0.5 + Math.random() / 2));
      });
    }
  }

  watch() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.abort.abort(), SILENCE_MS);
  }

  /** One connection: "ended", or "refused" when there is none to be had. */
  async read() {
    this.abort = new AbortController();
    this.watch();
    const response = await fetch("/events", {
      headers: {
        Accept: "text/event-stream", ...authorization(),
        ...(this.lastId === undefined ? {} : { "Last-Event-ID": this.lastId }),
      },
      cache: "no-store", signal: this.abort.signal,
    });
    if (!response.ok) {
      const problem = await problemOf(response);
      if (problem.status !== 404 && problem.status !== 401 && problem.status !== 403) throw problem;
      this.on.status("none");
      if (problem.status === 401) onRefused.tell(problem);
      return "refused";
    }
    this.on.status("live");
    if (this.lastId === undefined) this.on.lost();
    await this.follow(response.body).catch(() => {}); // cut off or ended: it is taken up again
    return "ended";
  }

  async follow(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const parse = eventParser((event) => this.take(event));
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.watch();
      parse(value);
    }
  }

  take({ type, id, data }) {
    if (id !== undefined) this.lastId = id;
    if (type === "reset") {
      this.on.lost();
      return;
    }
    try {
      this.on.event(type, JSON.parse(data));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.on.lost();
    }
  }
}
