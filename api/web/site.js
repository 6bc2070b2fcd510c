// The page of one site.

import { announce, append, durationText, element, errorBox, msText, percentText, shownState, stateBadge, table, timeElement } from "./dom.js";
import { drawPlot } from "./plot.js";
import { sites } from "./sites.js";

const HOUR_MS = 3600000;
const DAY_MS = 24 * HOUR_MS;
const PHASES_MS_MAX = 7 * DAY_MS; // of /phases
const RANGE_MS_MIN = 5 * 60000;
const RANGE_MS_MAX = 400 * DAY_MS;
const RANGES = [["1 hour", HOUR_MS], ["24 hours", DAY_MS], ["7 days", 7 * DAY_MS], ["30 days", 30 * DAY_MS], ["1 year", 365 * DAY_MS]];
const STEPS = [60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400];
const POINTS = 400;
const CHECKS_PAGE = 20;
const INCIDENTS_PAGE = 10;
const ANSWERS = 5;
const AGAIN_MS = 30000;
const GATHER_MS = 300;

function stepOf(rangeMs) {
  return STEPS.find((step) => rangeMs / 1000 / step <= POINTS) ?? STEPS.at(-1);
}

/* --- Parts --- */

function link(url) {
  // The server takes http and https only; another scheme is shown and leads nowhere.
  return /^https?:\/\//i.test(url) ? element("a", { href: url, rel: "noopener noreferrer nofollow" }, url) : url;
}

function facts(site) {
  const tags = (site.tags ?? []).map((tag) => element("span", { class: "tag" }, tag));
  const rows = [
    ["Address", link(site.url)], ["Checked every", durationText(site.seconds * 1000)],
    ["Pattern", site.pattern === undefined ? "–" : element("code", null, site.pattern)],
    ["Tags", tags.length > 0 ? tags : "–"], ["Last check", timeElement(site.last_slot)],
  ];
  return element("dl", { class: "facts" }, rows.map(([name, value]) => element("div", null, element("dt", null, name), element("dd", null, value))));
}

function locations(site) {
  const rows = (site.locations ?? []).map((l) => [l.location, stateBadge(l.state), timeElement(l.since), timeElement(l.last_slot),
    String(l.failures_in_a_row ?? 0)]);
  if (rows.length === 0) return element("p", null, "No location has checked it yet.");
  return table("Locations", ["Location", "Status", "Since", "Last check", "Failures in a row"], rows);
}

function codes(items) {
  const counts = new Map();
  for (const item of items) {
    for (const [code, count] of Object.entries(item.status_codes)) counts.set(code, (counts.get(code) ?? 0) + count);
  }
  const all = [...counts.values()].reduce((a, b) => a + b, 0);
  if (all === 0) return element("p", null, "No response in this time.");
  const rows = [...counts].sort().map(([code, count]) => {
    const meter = element("meter", { min: 0, max: all, value: count, "aria-label": `Share of ${code}` });
    return [code, String(count), element("span", null, meter, ` ${percentText(count / all)}`)];
  });
  return table("Response codes", ["Code", "Checks", "Share"], rows);
}

function incidentRow(incident) {
  const ends = incident.open ? Date.now() : Date.parse(incident.closed_at);
  const why = [incident.error_type, incident.error_message].filter(Boolean).join(": ");
  return [incident.open ? stateBadge("down") : "over", timeElement(incident.opened_at), timeElement(incident.closed_at),
    durationText(ends - Date.parse(incident.opened_at)), incident.location ?? "–", String(incident.checks), why || "–"];
}

function checkRow(check) {
  const ms = (us) => (us === undefined ? "–" : msText(us / 1000));
  const why = [check.error_type, check.error_message].filter(Boolean).join(": ");
  return [timeElement(check.entry_timestamp), check.location, element("span", null, stateBadge(check.status), check.final ? null : " (repeated)"),
    String(check.http_status ?? "–"), check.response_time === undefined ? "–" : msText(check.response_time * 1000),
    ms(check.dns_us), ms(check.connect_us), ms(check.tls_us), ms(check.wait_us), ms(check.transfer_us), check.peer ?? "–", why || "–"];
}

const CHECK_HEADS = ["Time", "Location", "Status", "Code", "Total", "dns", "connect", "tls", "wait", "transfer", "Peer", "Error"];
const INCIDENT_HEADS = ["Status", "Began", "Ended", "Lasted", "Location", "Checks", "Why"];

function answers(checks) {
  const found = checks.filter((check) => check.regex_response?.length > 0).slice(0, ANSWERS);
  if (found.length === 0) return element("p", null, "None of the last checks matched.");
  return element("ul", { class: "answers" }, found.map((check) => element("li", null, timeElement(check.entry_timestamp), " ",
    check.regex_response.map((match) => element("code", null, match.map((group) => group ?? "").join(" · "))))));
}

/** A list of the server's, page by page. */
class Pages {
  constructor(root, read, empty, draw) {
    Object.assign(this, { root, read, empty, draw, page: 1 });
    this.body = element("div");
    this.newer = element("button", { type: "button", onclick: () => this.go(-1) }, "Newer");
    this.older = element("button", { type: "button", onclick: () => this.go(1) }, "Older");
    this.at = element("span", { role: "status" });
    append(root, [this.body, element("p", { class: "pager" }, this.newer, this.older, this.at)]);
  }

  async go(by) {
    this.page += by;
    try {
      await this.load();
    } catch (error) {
      this.body.replaceChildren(errorBox(error));
    }
  }

  /** Nothing is moved under who reads an older page or is in the list. */
  get isIdle() {
    return this.page === 1 && !this.body.contains(document.activeElement);
  }

  async load() {
    const { items, more } = await this.read(this.page);
    this.body.replaceChildren(items.length === 0 ? element("p", null, this.empty) : this.draw(items));
    this.newer.disabled = this.page === 1;
    this.older.disabled = !more;
    this.at.textContent = this.page === 1 && !more ? "" : `Page ${this.page}`;
    return items;
  }
}

/* --- The plot and what goes with it --- */

/** Which time is shown: the last `length` ms, or from one time to another. */
class Range {
  constructor(onchange) {
    this.length = DAY_MS;
    this.end = undefined; // now
    this.onchange = onchange;
    this.choices = RANGES.map(([text, length]) => element("button", {
      type: "button", onclick: () => this.set(length, undefined),
    }, text));
    const moves = [["Earlier", 0, -0.5], ["Later", 0, 0.5], ["Zoom in", -0.5, -0.25], ["Zoom out", 1, 0.5]];
    this.bar = element("div", { class: "buttons" },
      element("div", { role: "group", "aria-label": "Range" }, this.choices),
      element("div", { role: "group", "aria-label": "Move" }, moves.map(([text, grow, shift]) => element("button", {
        type: "button", onclick: () => this.move(grow, shift),
      }, text))));
    this.mark();
  }

  get to() {
    return this.end ?? Date.now();
  }

  get from() {
    return this.to - this.length;
  }

  move(grow, shift) {
    const length = Math.max(RANGE_MS_MIN, Math.min(RANGE_MS_MAX, this.length * (1 + grow)));
    const end = this.to + (grow === 0 ? this.length * shift : (length - this.length) / 2);
    this.set(length, end);
  }

  set(length, end) {
    this.length = Math.max(RANGE_MS_MIN, length);
    this.end = end === undefined || end >= Date.now() ? undefined : end;
    this.mark();
    this.onchange();
  }

  mark() {
    RANGES.forEach(([, length], i) => {
      this.choices[i].setAttribute("aria-pressed", String(this.end === undefined && length === this.length));
    });
  }
}

class Figures {
  constructor(api, id) {
    this.api = api;
    this.id = id;
    this.plot = element("div", { class: "plot-room" });
    this.codes = element("div");
    this.said = element("p", { class: "help" });
    this.range = new Range(() => this.load());
    this.turn = 0;
  }

  query(from, to, step) {
    return `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}&step=${step}`;
  }

  async load() {
    this.turn += 1;
    const { turn, range } = this;
    const [from, to] = [range.from, range.to];
    const byPhase = range.length <= PHASES_MS_MAX;
    const query = this.query(from, to, stepOf(range.length));
    try {
      const [series, phases] = await Promise.all([this.api.get(`/websites/${this.id}/metrics?${query}`),
        byPhase ? this.api.get(`/websites/${this.id}/phases?${query}`) : undefined]);
      if (turn !== this.turn) return;
      this.codes.replaceChildren(codes(series.items));
      this.said.textContent = byPhase ? "Means by phase. Hatched: checks that found it down."
        : "Percentiles and the slowest check; phases are shown for up to 7 days. Hatched: checks that found it down.";
      await this.draw(turn, byPhase ? withUptime(phases, series) : series, { from, to, byPhase });
    } catch (error) {
      if (turn === this.turn) this.plot.replaceChildren(errorBox(error));
    }
  }

  async draw(turn, data, how) {
    this.endPlot?.();
    this.endPlot = undefined;
    const end = await drawPlot(this.plot, data, { ...how, onzoom: (from, to) => this.range.set(to - from, to) });
    if (turn === this.turn) this.endPlot = end;
    else end();
  }

  /** The plot follows the time, unless its table is being read. */
  get isIdle() {
    return this.range.end === undefined && !this.plot.querySelector("details[open]");
  }

  end() {
    this.turn += 1;
    this.endPlot?.();
  }
}

function withUptime(phases, series) {
  const uptimes = new Map(series.items.map((item) => [item.begins, item]));
  return { ...phases, items: phases.items.map((item) => ({ ...item, uptime: uptimes.get(item.begins)?.uptime })) };
}

/* --- Deleting --- */

function deleteDialog(api, site) {
  const said = element("div");
  const dialog = element("dialog", { "aria-labelledby": "delete-title" },
    element("form", { method: "dialog" },
      element("h2", { id: "delete-title" }, "Delete this site?"),
      element("p", null, site.name), element("p", null, "It is no longer checked. What was found is kept until its retention ends."), said,
      element("div", { class: "buttons" }, element("button", { value: "cancel", autofocus: true }, "Keep it"),
        element("button", { value: "delete", class: "danger" }, "Delete"))));
  dialog.addEventListener("submit", async (event) => {
    if (event.submitter?.value !== "delete") return;
    event.preventDefault();
    try {
      await api.ask("DELETE", `/websites/${site.id}`);
      dialog.close();
      sites.changed({ id: site.id, change: "deleted" });
      announce(`${site.name} is deleted`);
      location.hash = "#/";
    } catch (error) {
      said.replaceChildren(errorBox(error));
    }
  });
  return dialog;
}

/* --- The page --- */

function section(title, ...children) {
  return element("section", null, element("h2", null, title), children);
}

export async function sitePage(root, api, id) {
  let site = await api.get(`/websites/${id}`);
  const state = element("span", { role: "status" }, stateBadge(shownState(site)));
  const about = element("div");
  const figures = new Figures(api, id);
  const matched = element("div");
  const incidentsRoot = element("div");
  const checksRoot = element("div");
  const incidents = new Pages(incidentsRoot, (page) => api.get(`/incidents?website_id=${id}&size=${INCIDENTS_PAGE}&page=${page}`),
    "It was not down.", (items) => table("Incidents", INCIDENT_HEADS, items.map(incidentRow)));
  const checks = new Pages(checksRoot, (page) => api.get(`/websites/${id}/checks?size=${CHECKS_PAGE}&page=${page}`),
    "It was not checked yet.", (items) => table("Checks, newest first", CHECK_HEADS, items.map(checkRow)));
  const dialog = deleteDialog(api, site);

  function fill() {
    document.title = `${site.name} – Sitewatch`;
    state.replaceChildren(stateBadge(shownState(site)));
    about.replaceChildren(facts(site), locations(site));
  }

  async function readChecks() {
    const items = await checks.load();
    if (checks.page === 1) matched.replaceChildren(answers(items));
  }

  async function refresh() {
    site = await api.get(`/websites/${id}`);
    fill();
    await Promise.all([incidents.isIdle && incidents.load(), checks.isIdle && readChecks(), figures.isIdle && figures.load()]);
  }

  fill();
  append(root, [
    element("h1", null, site.name, " ", state),
    element("p", { class: "buttons" }, element("a", { class: "button", href: `#/sites/${id}/edit` }, "Edit"),
      element("button", { type: "button", class: "danger", onclick: () => dialog.showModal() }, "Delete")),
    about,
    section("Response time", figures.range.bar, figures.said, figures.plot),
    section("Response codes", figures.codes),
    section("Incidents", incidentsRoot),
    site.pattern === undefined ? null : section("Last answers of its pattern", matched),
    section("Checks", checksRoot),
    dialog,
  ]);
  await Promise.all([figures.load(), incidents.load(), readChecks()]);

  let gathering;
  const again = setInterval(() => refresh().catch(() => {}), AGAIN_MS);
  const onchange = ({ detail }) => {
    if (String(detail.data.id) !== id) return;
    gathering ??= setTimeout(() => {
      gathering = undefined;
      refresh().catch(() => {});
    }, GATHER_MS);
  };
  const unlisten = sites.listen((ids) => {
    const known = sites.byId.get(Number(id));
    if (known && (ids === undefined || ids.includes(known.id)) && known.state !== site.state) {
      site = { ...site, state: known.state, enabled: known.enabled };
      state.replaceChildren(stateBadge(shownState(site)));
    }
  });
  document.addEventListener("sitewatch", onchange);
  return () => {
    clearInterval(again);
    clearTimeout(gathering);
    unlisten();
    document.removeEventListener("sitewatch", onchange);
    figures.end();
  };
}
