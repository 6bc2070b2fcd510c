// Which page is shown, who is signed in, and what comes live.

import * as api from "./api.js";
import { announce, element, errorBox, shownState } from "./dom.js";
import { listPage } from "./list.js";
import { Live } from "./live.js";
import { sites } from "./sites.js";

const main = document.getElementById("main");
const GATHER_MS = 400;

/** A page is a function of (root, api, parts of the path) that may return what ends it. */
const PAGES = [
  [/^\/$/, () => listPage, "Sites"],
  [/^\/new$/, async () => (await import("./form.js")).newPage, "Add a site"],
  [/^\/sites\/(\d+)$/, async () => (await import("./site.js")).sitePage, "Site"],
  [/^\/sites\/(\d+)\/edit$/, async () => (await import("./form.js")).editPage, "Edit a site"],
  [/^\/pipeline$/, async () => (await import("./pipeline.js")).render, "Pipeline"],
];

/* --- What comes live --- */

const LIVE_WORDS = { live: "Live", waiting: "Connecting …", none: "Read every few seconds" };
let changes = new Map();
let changesTimer;

function sayChanges() {
  const all = [...changes.values()];
  changes = new Map();
  changesTimer = undefined;
  announce(all.length > 3 ? `${all.length} sites changed` : all.map((s) => `${s.name} is ${shownState(s)}`).join(". "));
}

const live = new Live({
  status(status) {
    document.getElementById("live").textContent = LIVE_WORDS[status];
    sites.setLive(status === "live");
  },
  lost: () => sites.reload().catch(() => {}),
  event(type, data) {
    if (type === "state") {
      sites.state(data);
      changes.set(data.id, data);
      changesTimer ??= setTimeout(sayChanges, GATHER_MS);
    } else if (type === "site") {
      sites.changed(data);
    }
    document.dispatchEvent(new CustomEvent("sitewatch", { detail: { type, data } }));
  },
});

function showTrouble() {
  const all = sites.all();
  const down = all.filter((site) => shownState(site) === "down").length;
  const title = document.title.replace(/^\(\d+ down\) /, "");
  document.title = down > 0 ? `(${down} down) ${title}` : title;
}

sites.listen(showTrouble);

/* --- Signing in --- */

function signOut(problem) {
  signedIn = false;
  live.stop();
  sites.stop();
  api.setToken("");
  document.getElementById("live").textContent = "";
  showSignIn(problem);
}

let signedIn = false;

api.onRefused.tell = (problem) => {
  if (signedIn) signOut(problem);
};

function signIn() {
  signedIn = true;
  document.getElementById("sign-out").hidden = api.token() === "";
  sites.start();
  live.start();
}

function showSignIn(problem) {
  const input = element("input", {
    id: "token", name: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true,
    "aria-describedby": "token-help",
  });
  const said = element("div");
  const form = element("form", { class: "narrow" },
    element("h1", null, "Sign in"),
    element("label", { for: "token" }, "Token"), input,
    element("p", { id: "token-help", class: "help" }, "It is kept until this tab is closed. Make one with ",
      element("code", null, "api token create --owner NAME --scope write"),
      "; with the scope read sites are shown and not changed."),
    said, element("button", { class: "main" }, "Sign in"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    api.setToken(input.value.trim());
    try {
      sites.start();
      await sites.load();
      signIn();
      await show();
    } catch (error) {
      sites.stop();
      api.setToken("");
      said.replaceChildren(errorBox(error));
      input.focus();
    }
  });
  if (problem) said.append(errorBox(problem));
  endPage();
  document.getElementById("sign-out").hidden = true;
  document.title = "Sign in – Sitewatch";
  main.replaceChildren(form);
  input.focus();
}

document.getElementById("sign-out").addEventListener("click", () => signOut());

/* --- Pages --- */

let end;
let shown = 0;

function endPage() {
  shown += 1;
  if (typeof end === "function") end();
  end = undefined;
}

function markNav(path) {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${path}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function show() {
  const path = location.hash.slice(1) || "/";
  const found = PAGES.find(([pattern]) => pattern.test(path));
  endPage();
  const turn = shown;
  if (api.token() === "") {
    showSignIn();
    return;
  }
  markNav(path);
  window.scrollTo(0, 0);
  const root = element("div", { class: "page" });
  main.replaceChildren(root);
  if (!found) {
    document.title = "Sitewatch";
    root.append(element("h1", null, "There is no such page"), element("a", { href: "#/" }, "All sites"));
    return;
  }
  document.title = `${found[2]} – Sitewatch`;
  try {
    const page = await found[1]();
    if (turn !== shown) return;
    const ended = await page(root, api, ...path.match(found[0]).slice(1));
    if (turn === shown) end = ended;
    else if (typeof ended === "function") ended();
  } catch (error) {
    if (turn === shown) root.replaceChildren(element("h1", null, "Not shown"), errorBox(error));
  }
  showTrouble();
}

let first = true;

window.addEventListener("hashchange", () => {
  first = false;
  show().then(() => {
    // A page is read from its beginning; not the first one, where nothing was chosen yet.
    if (!first && !main.contains(document.activeElement)) main.focus({ preventScroll: true });
  });
});

if (api.token() !== "") signIn();
show();
