// Whether the pipeline itself is well, and the messages that were no events.

import { announce, element, errorBox, newId, table, timeElement } from "./dom.js";

const AGAIN_MS = 5000;
const LETTERS_PAGE = 20;
const COPIED_MS = 2000;

const STATES = {
  not_well: { shape: "✖", words: "not well", style: "state-down" },
  unknown: { shape: "?", words: "unknown", style: "state-unknown" },
  well: { shape: "●", words: "well", style: "state-up" },
};

function badge(state) {
  const { shape, words, style } = STATES[state] ?? STATES.unknown;
  return element("span", { class: `state ${style}` },
    element("span", { "aria-hidden": "true", class: "shape" }, shape), ` ${words}`);
}

function headline(items) {
  const count = (state) => items.filter((item) => item.state === state).length;
  const [bad, unknown] = [count("not_well"), count("unknown")];
  const parts = [bad > 0 && `${bad} of ${items.length} parts not well`, unknown > 0 && `${unknown} unknown`].filter(Boolean);
  return parts.length > 0 ? parts.join(", ") : `All ${items.length} parts are well`;
}

/* --- Parts --- */

/** The worst first, else as the server has them. */
function sorted(items) {
  const order = Object.keys(STATES);
  return items.map((item, i) => ({ item, i }))
    .sort((a, b) => order.indexOf(a.item.state) - order.indexOf(b.item.state) || a.i - b.i).map(({ item }) => item);
}

function partRow(item) {
  return element("tr", null, [badge(item.state), [item.part, item.subject].filter(Boolean).join(" "), item.what, item.value, item.why]
    .map((cell) => element("td", null, cell)));
}

function partsView(api) {
  const said = element("p", { class: "count" });
  const trouble = element("div");
  const parts = table("Parts of the pipeline", ["State", "Part", "What", "Value", "Why"], []);
  let last;
  async function load() {
    const { at, items } = await api.get("/pipeline");
    const text = headline(items);
    trouble.replaceChildren();
    said.replaceChildren(element("strong", null, text), ", as of ", timeElement(at));
    parts.querySelector("tbody").replaceChildren(...sorted(items).map(partRow));
    if (last !== undefined && last !== text) announce(text);
    last = text;
  }
  return {
    nodes: [said, trouble, parts],
    load: () => load().catch((error) => trouble.replaceChildren(errorBox(error))),
  };
}

/* --- Dead letters --- */

function copyButton(command) {
  const button = element("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch {
      // Not allowed, or no secure page: what is selected can be copied by hand.
      getSelection().selectAllChildren(command);
      button.textContent = "Selected";
    }
    announce(button.textContent);
    setTimeout(() => { button.textContent = "Copy"; }, COPIED_MS);
  });
  return button;
}

/** The bytes of a key or a payload. */
function bytes(letter, name) {
  const text = letter[name] ?? letter[`${name}_base64`];
  if (text === undefined) return "none";
  const kind = letter[name] === undefined ? "base64, as it is no text" : "text";
  return [element("p", { class: "help" }, kind), element("pre", { class: "bytes", tabindex: "0", role: "region", "aria-label": name }, text)];
}

function letterView(letter) {
  const command = element("code", null, `consumer dead-letters replay ${letter.id}`);
  const shown = String(letter.payload_bytes);
  const rows = [
    ["Reason", `${letter.reason}: ${letter.detail}`],
    ["From", `${letter.topic}, partition ${letter.partition}, offset ${letter.offset}`],
    ["Received", timeElement(letter.received_at)], ["Sent", timeElement(letter.message_time)],
    ["Put back", timeElement(letter.replayed_at)], ["Bytes", `${shown}, of which the first 64 KiB are kept here`],
    ["SHA-256", element("code", null, letter.payload_sha256)],
    ["Whole in the dead-letter topic", letter.in_topic ? "yes" : "no: it was too large for it"],
  ];
  return [
    element("h3", { tabindex: "-1" }, `Dead letter ${letter.id}`),
    element("dl", { class: "facts" }, rows.map(([name, value]) => element("div", null, element("dt", null, name), element("dd", null, value)))),
    element("h4", null, "Key"), bytes(letter, "key"), element("h4", null, "Payload"), bytes(letter, "payload"),
    element("p", null, "To put it back on its topic, where a consumer runs: ", command, " ", copyButton(command)),
  ].flat();
}

function lettersView(api) {
  const trouble = element("div");
  const list = element("div");
  const one = element("section", { id: newId("letter"), "aria-label": "Dead letter" });
  const newest = element("button", { type: "button" }, "Newest");
  const older = element("button", { type: "button" }, "Older");

  const guard = (work) => async () => {
    try {
      await work();
      trouble.replaceChildren();
    } catch (error) {
      trouble.replaceChildren(errorBox(error));
    }
  };
  const show = (id) => guard(async () => {
    one.replaceChildren(...letterView(await api.get(`/dead-letters/${id}`)));
    one.querySelector("h3").focus();
  });
  async function load(before) {
    const page = await api.get(`/dead-letters?size=${LETTERS_PAGE}${before ? `&before=${before}` : ""}`);
    const rows = page.items.map((letter) => [
      element("button", { type: "button", "aria-controls": one.id, onclick: show(letter.id) }, `Look at ${letter.id}`),
      timeElement(letter.received_at), letter.reason, `${letter.topic} [${letter.partition}] ${letter.offset}`, letter.detail,
      timeElement(letter.replayed_at)]);
    list.replaceChildren(rows.length === 0 ? element("p", null, before ? "No older ones." : "There are none.")
      : table("Dead letters", ["Letter", "Received", "Reason", "From", "Detail", "Put back"], rows));
    older.disabled = page.next === undefined;
    older.onclick = guard(() => load(page.next));
  }
  newest.onclick = guard(() => load());
  return { nodes: [trouble, list, element("div", { class: "buttons" }, newest, older), one], load: guard(() => load()) };
}

/** The page; what it returns ends it. */
export async function render(root, api) {
  const parts = partsView(api);
  const letters = lettersView(api);
  root.append(element("h1", null, "Pipeline"), ...parts.nodes, element("h2", null, "Dead letters"),
    element("p", { class: "help" }, "Messages that are no valid events. They are kept, and can be put back once what was wrong is mended."),
    ...letters.nodes);
  let timer;
  let ended = false;
  const again = async () => {
    await parts.load();
    if (!ended) timer = setTimeout(again, AGAIN_MS);
  };
  await Promise.all([again(), letters.load()]);
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
