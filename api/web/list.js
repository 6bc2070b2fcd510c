// The list of all sites. Of its rows only those are there that are seen, and a few more.

import { element, daysUntil, hoursBar, msText, percentText, shownState, stateBadge } from "./dom.js";
import { searchedText, sites } from "./sites.js";

const SPARE = 8;          // rows before and after those that are seen
const RESORT_MS = 300;    // changes of states are gathered for so long
const CERT_DAYS_SOON = 14;
const STATES = ["down", "degraded", "unknown", "up", "paused"];

const COLUMNS = [
  { key: "state", title: "Status", value: (s) => STATES.indexOf(shownState(s)) },
  { key: "name", title: "Site", value: (s) => s.name },
  { key: "bars", title: "Last 24 h" },
  { key: "uptime", title: "Uptime", value: (s) => s.uptime_24h },
  { key: "p95", title: "p95", value: (s) => s.p95_ms },
  { key: "cert", title: "Certificate", value: (s) => s.cert_not_after },
];

const ORDERS = [
  ["state", 1, "Status, trouble first"], ["name", 1, "Name"], ["name", -1, "Name, from the end"],
  ["uptime", 1, "Uptime, lowest first"], ["p95", -1, "p95, slowest first"], ["cert", 1, "Certificate, soonest first"],
];

/** What is chosen; kept while other pages are looked at. */
const chosen = { text: "", state: "", tag: "", sort: "state", way: 1, top: 0 };

/* --- Choosing and ordering --- */

/** Absent values are last, whichever way. */
function compare(a, b) {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  return (a < b ? -1 : Number(a > b)) * chosen.way;
}

function choose() {
  const words = chosen.text.toLowerCase().split(/\s+/).filter(Boolean);
  const { value } = COLUMNS.find((column) => column.key === chosen.sort);
  const found = sites.all().filter((site) => (chosen.state === "" || shownState(site) === chosen.state)
    && (chosen.tag === "" || (site.tags ?? []).includes(chosen.tag))
    && words.every((word) => searchedText(site).includes(word)));
  const ranks = orderOfNames();
  return found.sort((a, b) => (chosen.sort === "name" ? 0 : compare(value(a), value(b)))
    || (ranks.get(a.id) - ranks.get(b.id)) * (chosen.sort === "name" ? chosen.way : 1));
}

let ranked;

/** Names are compared once, not at each letter that is typed. */
function orderOfNames() {
  if (ranked?.of !== sites.byId || ranked.size !== sites.byId.size) {
    const named = sites.all().map((site) => [site.name.toLowerCase(), site.id]);
    named.sort((a, b) => (a[0] < b[0] ? -1 : Number(a[0] > b[0])) || a[1] - b[1]);
    ranked = { of: sites.byId, size: sites.byId.size, ranks: new Map(named.map(([, id], i) => [id, i])) };
  }
  return ranked.ranks;
}

/* --- Rows --- */

function certificateText(site) {
  const days = daysUntil(site.cert_not_after);
  if (days === undefined) return element("span", { class: "nothing" }, "–");
  const soon = days < CERT_DAYS_SOON;
  return element("span", { class: soon ? "soon" : null }, `${soon ? "! " : ""}${days} d`);
}

function cell(column, ...children) {
  return element("td", { role: "cell", class: `c-${column.key}` }, children);
}

function cells(site) {
  const [state, name, bars, uptime, p95, cert] = COLUMNS;
  const tags = (site.tags ?? []).map((tag) => element("span", { class: "tag" }, tag));
  const address = site.url === site.name ? null : element("span", { class: "url" }, site.url);
  return [
    cell(state, stateBadge(shownState(site))),
    cell(name, element("a", { href: `#/sites/${site.id}`, class: "name" }, site.name), address, tags),
    cell(bars, hoursBar(site.bars)),
    cell(uptime, percentText(site.uptime_24h)),
    cell(p95, msText(site.p95_ms)),
    cell(cert, certificateText(site)),
  ];
}

/** The rows that are there, as a window over the sites that are found. */
class Rows {
  constructor(body) {
    this.body = body;
    this.found = [];
    this.rows = new Map(); // of a site's id
    this.height = 0;
  }

  measure() {
    const probe = element("tr", { role: "row" }, element("td", { role: "cell" }, "x"));
    this.body.append(probe);
    this.height = probe.getBoundingClientRect().height;
    probe.remove();
  }

  set(found) {
    if (this.height === 0) this.measure();
    this.found = found;
    this.body.style.height = `${found.length * this.height}px`;
    this.draw(true);
  }

  /** Those that are in view, from the first to before the last. */
  span() {
    const above = -this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(above / this.height) - SPARE);
    return [first, Math.min(this.found.length, first + Math.ceil(window.innerHeight / this.height) + 2 * SPARE)];
  }

  draw(anew) {
    const [first, past] = this.span();
    if (!anew && first === this.first && past === this.past) return;
    [this.first, this.past] = [first, past];
    const wanted = this.found.slice(first, past);
    const ids = new Set(wanted.map((site) => site.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    // Rows that stay are not moved: the one with the focus would lose it.
    let at = this.body.firstChild;
    wanted.forEach((site, i) => {
      const row = this.rowOf(site, first + i);
      if (row === at) at = at.nextSibling;
      else this.body.insertBefore(row, at);
    });
  }

  rowOf(site, index) {
    let row = this.rows.get(site.id);
    if (!row) {
      row = element("tr", { role: "row" });
      this.rows.set(site.id, row);
    }
    row.setAttribute("aria-rowindex", index + 2);
    row.style.top = `${index * this.height}px`;
    this.fill(row, site);
    return row;
  }

  fill(row, site) {
    const shown = JSON.stringify([shownState(site), site]);
    if (row.shown === shown) return;
    const focused = row.contains(document.activeElement);
    row.shown = shown;
    row.replaceChildren(...cells(site));
    if (focused) row.querySelector("a").focus({ preventScroll: true });
  }

  refresh(ids) {
    for (const id of ids) {
      const row = this.rows.get(id);
      const site = sites.byId.get(id);
      if (row && site) this.fill(row, site);
    }
  }

  /** Moves the focus to the link of a row, wherever it is. */
  focus(index) {
    const to = Math.max(0, Math.min(this.found.length - 1, index));
    const top = this.body.getBoundingClientRect().top + window.scrollY + to * this.height;
    const head = this.body.parentElement.tHead.getBoundingClientRect().height;
    if (top - head < window.scrollY) window.scrollTo(0, top - head);
    else if (top + this.height > window.scrollY + window.innerHeight) {
      window.scrollTo(0, top + this.height - window.innerHeight);
    }
    this.draw();
    this.rows.get(this.found[to]?.id)?.querySelector("a").focus({ preventScroll: true });
  }

  indexOf(row) {
    return Number(row.getAttribute("aria-rowindex")) - 2;
  }
}

function moveByKey(rows, event) {
  const row = event.target.closest("tr");
  const page = Math.max(1, Math.floor(window.innerHeight / rows.height) - 3);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (!row || !(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  rows.focus(rows.indexOf(row) + steps[event.key]);
}

/* --- What is above the list --- */

function select(label, id, options, value, onchange) {
  const made = element("select", { id }, options.map(([v, text]) => element("option", { value: v }, text)));
  made.value = value;
  made.addEventListener("change", () => onchange(made.value));
  return element("div", { class: "field" }, element("label", { for: id }, label), made);
}

function stateOptions() {
  const counts = new Map();
  for (const site of sites.all()) counts.set(shownState(site), (counts.get(shownState(site)) ?? 0) + 1);
  return [["", "Any"], ...STATES.map((state) => [state, `${state} (${counts.get(state) ?? 0})`])];
}

function tagOptions() {
  const tags = new Set(sites.all().flatMap((site) => site.tags ?? []));
  return [["", "Any"], ...[...tags].sort().map((tag) => [tag, tag])];
}

/** New options in a select that keeps what is chosen. */
function setOptions(holder, options, value) {
  const made = holder.querySelector("select");
  const text = JSON.stringify(options);
  if (made.shown === text) return;
  made.shown = text;
  made.replaceChildren(...options.map(([v, label]) => element("option", { value: v }, label)));
  made.value = value;
}

function heads(onsort) {
  return COLUMNS.map((column) => {
    const content = column.value
      ? element("button", { type: "button", onclick: () => onsort(column.key) }, column.title) : column.title;
    return element("th", { role: "columnheader", scope: "col", class: `c-${column.key}`, "data-key": column.key }, content);
  });
}

function markSort(table) {
  for (const head of table.querySelectorAll("th")) {
    if (head.dataset.key === chosen.sort) head.setAttribute("aria-sort", chosen.way > 0 ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
}

/** The page. */
export async function listPage(root) {
  const count = element("p", { class: "count", role: "status" });
  const search = element("input", { id: "search", type: "search", autocomplete: "off", spellcheck: "false", placeholder: "Name, address or tag" });
  const body = element("tbody", { role: "rowgroup" });
  const rows = new Rows(body);
  const table = element("table", { role: "table", class: "sites", "aria-label": "Sites" },
    element("thead", { role: "rowgroup" }, element("tr", { role: "row", "aria-rowindex": 1 }, heads((key) => {
      chosen.way = chosen.sort === key ? -chosen.way : 1;
      chosen.sort = key;
      redo();
    }))), body);
  const byState = select("Status", "by-state", [["", "Any"]], "", (value) => { chosen.state = value; redo(); });
  const byTag = select("Tag", "by-tag", [["", "Any"]], "", (value) => { chosen.tag = value; redo(); });
  const byOrder = select("Order", "by-order", ORDERS.map(([key, way, text]) => [`${key} ${way}`, text]), "", (value) => {
    const [key, way] = value.split(" ");
    [chosen.sort, chosen.way] = [key, Number(way)];
    redo();
  });
  const empty = element("p", { hidden: true }, "There is no site yet. ", element("a", { href: "#/new" }, "Add one"));
  let timer;

  function redo() {
    clearTimeout(timer);
    timer = undefined;
    const found = choose();
    const all = sites.byId.size;
    table.setAttribute("aria-rowcount", found.length + 1);
    byOrder.querySelector("select").value = `${chosen.sort} ${chosen.way}`;
    markSort(table);
    rows.set(found);
    const beyond = sites.total > all ? `; ${sites.total - all} more are not listed` : "";
    empty.hidden = all > 0;
    count.textContent = `${found.length === all ? "" : `${found.length} of `}${all} ${all === 1 ? "site" : "sites"}${beyond}`;
  }

  function update(ids) {
    setOptions(byState, stateOptions(), chosen.state);
    if (ids === undefined) {
      setOptions(byTag, tagOptions(), chosen.tag);
      redo();
      return;
    }
    rows.refresh(ids);
    timer ??= setTimeout(redo, RESORT_MS);
  }

  search.value = chosen.text;
  search.addEventListener("input", () => {
    chosen.text = search.value;
    redo();
  });
  body.addEventListener("keydown", (event) => moveByKey(rows, event));

  root.append(element("h1", null, "Sites"),
    element("form", { class: "tools", role: "search", onsubmit: (event) => event.preventDefault() },
      element("div", { class: "field grow" }, element("label", { for: "search" }, "Search"), search),
      byState, byTag, byOrder), count, empty, table);

  const onscroll = () => requestAnimationFrame(() => rows.draw());
  const onresize = () => {
    rows.measure();
    redo();
  };
  window.addEventListener("scroll", onscroll, { passive: true });
  window.addEventListener("resize", onresize);
  if (!sites.read) {
    count.textContent = "Loading …";
    await sites.load();
  }
  update();
  window.scrollTo(0, chosen.top);
  rows.draw();
  const unlisten = sites.listen(update);

  return () => {
    chosen.top = window.scrollY;
    clearTimeout(timer);
    unlisten();
    window.removeEventListener("scroll", onscroll);
    window.removeEventListener("resize", onresize);
  };
}
