// All sites as the server last told of them, and who wants to know of changes.

import { get } from "./api.js";

const AGAIN_MS = 60000;       // figures move slowly, and states come by themselves
const AGAIN_ALONE_MS = 5000;  // while they do not
const FIRST_FIGURES_MS = 1500;
const GATHER_MS = 1100;       // of changes: the server gives the same answer for a second
const OLDER_MS = 3000;        // what an answer says may be that much older than its request

const TEXT = Symbol("what is searched");

class Sites {
  constructor() {
    this.byId = new Map();
    this.total = 0;
    this.read = false;
    this.alone = true;
    this.listeners = new Set();
    this.heard = new Map(); // states that came by themselves of late, and when
  }

  /** listener(ids): of sites that changed; undefined: all may have. Returns what ends it. */
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  tell(ids) {
    for (const listener of this.listeners) listener(ids);
  }

  all() {
    return [...this.byId.values()];
  }

  /** Reads all of them; then goes on doing so. */
  async load() {
    clearTimeout(this.timer);
    if (!this.loading) {
      this.began = performance.now();
      this.loading = get("/overview").finally(() => { this.loading = undefined; });
    }
    try {
      const { sites, total, figures_at: figuresAt } = await this.loading;
      this.byId = new Map(sites.map((site) => [site.id, site]));
      this.putHeard();
      this.total = total;
      this.read = true;
      this.tell();
      this.later(figuresAt === undefined && sites.length > 0 ? FIRST_FIGURES_MS : undefined);
    } catch (error) {
      this.later(AGAIN_ALONE_MS);
      throw error;
    }
  }

  /** Something may have been missed: all is read anew, and once more when no answer can be from before. */
  async reload() {
    this.heard.clear();
    await this.load();
    this.later(GATHER_MS);
  }

  /** A state that was told is not replaced by an answer from before it. */
  putHeard() {
    for (const [id, { state, at }] of this.heard) {
      if (at < this.began - OLDER_MS) this.heard.delete(id);
      else if (this.byId.has(id)) this.byId.get(id).state = state;
    }
  }

  later(ms) {
    clearTimeout(this.timer);
    if (this.stopped) return;
    this.timer = setTimeout(() => this.load().catch(() => {}), ms ?? (this.alone ? AGAIN_ALONE_MS : AGAIN_MS));
  }

  start() {
    this.stopped = false;
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    this.byId = new Map();
    this.heard.clear();
    this.read = false;
  }

  /** Whether changes come by themselves. */
  setLive(live) {
    this.alone = !live;
    if (this.read) this.later();
  }

  state({ id, state }) {
    this.heard.set(id, { state, at: performance.now() });
    const site = this.byId.get(id);
    if (!site) {
      this.later(GATHER_MS);
    } else if (site.state !== state) {
      site.state = state;
      this.tell([id]);
    }
  }

  /** A site was added, changed or deleted, here or elsewhere. */
  changed({ id, change }) {
    if (change === "deleted" && this.byId.delete(id)) {
      this.total -= 1;
      this.tell();
    }
    this.later(GATHER_MS);
  }

  /** What a form has just been answered. */
  put(site) {
    const { id, name, url, enabled, tags, state } = site;
    if (!this.byId.has(id)) this.total += 1;
    this.byId = new Map(this.byId); // another one: its names are put in order anew
    this.byId.set(id, { ...this.byId.get(id), id, name, url, enabled, tags, state, [TEXT]: undefined });
    this.tell();
    this.later(GATHER_MS);
  }
}

export const sites = new Sites();

/** What a search looks at, in lower case; made once a site. */
export function searchedText(site) {
  site[TEXT] ??= `${site.name}\n${site.url}\n${(site.tags ?? []).join("\n")}`.toLowerCase();
  return site[TEXT];
}
