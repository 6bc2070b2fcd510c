// Elements and texts. What comes from the server is put in as text, never as HTML.

/** element("a", {class: "x", href: "#/", onclick: f}, "text", child, ...): null and false are left out. */
export function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  append(made, children);
  return made;
}

export function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) parent.append(child);
  }
}

let ids = 0;

/** An id that no other element of the page has. */
export function newId(prefix) {
  ids += 1;
  return `${prefix}-${ids}`;
}

/** A shape for each state, so that it is told without its colour. */
const SHAPES = { up: "●", degraded: "◆", down: "✖", unknown: "?", paused: "‖" };

/** What a site is shown as: one that is not checked is neither up nor down. */
export function shownState(site) {
  return site.enabled === false ? "paused" : site.state;
}

export function stateBadge(state) {
  const known = Object.hasOwn(SHAPES, state) ? state : "unknown";
  return element("span", { class: `state state-${known}` },
    element("span", { "aria-hidden": "true", class: "shape" }, SHAPES[known]), ` ${known}`);
}

const BAR_WORDS = { x: "down", d: "degraded", u: "up", "?": "unknown", "-": "without a check" };
const BAR_CLASSES = { x: "down", d: "degraded", u: "up", "?": "unknown", "-": "none" };

/** A bar of hours from letters, the oldest first; its heights tell what its colours do. */
export function hoursBar(letters) {
  if (!letters) return element("span", { class: "nothing" }, "–");
  const counts = new Map();
  const bar = element("span", { class: "bar", role: "img" });
  for (const letter of letters) {
    const known = Object.hasOwn(BAR_CLASSES, letter) ? letter : "?";
    counts.set(known, (counts.get(known) ?? 0) + 1);
    bar.append(element("i", { class: BAR_CLASSES[known] }));
  }
  const words = Object.keys(BAR_WORDS).filter((k) => counts.has(k)).map((k) => `${counts.get(k)} ${BAR_WORDS[k]}`);
  bar.setAttribute("aria-label", `Last ${letters.length} hours: ${words.join(", ")}`);
  return bar;
}

export function percentText(share) {
  if (share === undefined || share === null) return "–";
  const percent = share * 100;
  // 99.996 % is not 100 %: what is cut off is never rounded up.
  return `${percent === 100 ? "100" : (Math.floor(percent * 100) / 100).toFixed(2)} %`;
}

export function msText(ms) {
  if (ms === undefined || ms === null) return "–";
  if (ms >= 10000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms >= 100 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

const DAY_MS = 86400000;

/** Whole days until then, less than none when it is past. */
export function daysUntil(time) {
  return time === undefined ? undefined : Math.floor((Date.parse(time) - Date.now()) / DAY_MS);
}

const TIMES = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function timeElement(text) {
  if (!text) return element("span", { class: "nothing" }, "–");
  return element("time", { datetime: text, title: text }, TIMES.format(new Date(text)));
}

export function durationText(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  let rest = seconds;
  return parts.slice(first, first + 2).map(([size, unit]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count > 0 || size === parts[first][0] ? `${count} ${unit}` : "";
  }).filter(Boolean).join(" ");
}

/** A table with a caption that is read out, and a row a list of cells. */
export function table(caption, heads, rows, properties) {
  return element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    element("table", properties, element("caption", { class: "hidden" }, caption),
      element("thead", null, element("tr", null, heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", null, rows.map((cells) => element("tr", null,
        cells.map((cell) => element("td", null, cell)))))));
}

/** Says it to those who do not see it. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** What went wrong, where it is seen and read out at once. */
export function errorBox(error) {
  return element("p", { class: "error", role: "alert" }, error.message);
}
