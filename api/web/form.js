// The forms that add and change a site. Their fields come from the description of the API.

import { append, announce, element, errorBox } from "./dom.js";
import { sites } from "./sites.js";

const FIRST = ["url", "name", "seconds", "pattern", "tags", "enabled"];
const LONG = new Set(["body"]);
const SECRET = new Set(["password", "bearer_token"]);

/* --- Fields --- */

function kindOf(schema) {
  if (schema.enum) return "choice";
  return [].concat(schema.type ?? "string")[0];
}

function plainOf(schema) {
  return schema.anyOf ? schema.anyOf.find((one) => one.type !== "null") : schema;
}

/** An input, how its text becomes a value (undefined: left out), and the other way round. */
function control(name, schema, required) {
  const id = `field-${name}`;
  const shared = { id, name, "aria-describedby": `${id}-help`, spellcheck: "false", autocomplete: "off" };
  const kind = kindOf(schema);
  if (kind === "choice" || kind === "boolean") {
    const values = kind === "boolean" ? ["true", "false"] : schema.enum;
    return {
      input: element("select", shared, ["", ...values].map((value) => element("option", { value },
        value === "" ? "as it is by default" : kind === "boolean" ? { true: "yes", false: "no" }[value] : value))),
      read: (text) => (text === "" ? undefined : kind === "boolean" ? text === "true" : text),
      show: String,
    };
  }
  if (kind === "integer") {
    return {
      input: element("input", { ...shared, type: "number", step: 1, min: schema.minimum, max: schema.maximum, required, inputmode: "numeric" }),
      read: (text) => (text === "" ? undefined : Number(text)), show: String,
    };
  }
  if (kind === "array") {
    return {
      input: element("textarea", { ...shared, rows: 2 }),
      read: (text) => (text.trim() === "" ? undefined : text.split("\n").map((line) => line.trim()).filter(Boolean)),
      show: (list) => list.join("\n"),
    };
  }
  const more = { ...shared, maxlength: schema.maxLength, required };
  const input = LONG.has(name) ? element("textarea", { ...more, rows: 3 })
    : element("input", { ...more, type: SECRET.has(name) ? "password" : name === "url" ? "url" : "text" });
  return { input, read: (text) => (text === "" ? undefined : text), show: String };
}

class Field {
  constructor(name, schema, required) {
    this.name = name;
    const plain = plainOf(schema);
    Object.assign(this, control(name, plain, required));
    const { id } = this.input;
    const limits = { array: "; one a line", integer: ` (${plain.minimum} to ${plain.maximum})` }[kindOf(plain)] ?? "";
    this.error = element("p", { id: `${id}-error`, class: "field-error" });
    this.root = element("div", { class: "field" },
      element("label", { for: id }, name, required ? " (required)" : null),
      this.input, element("p", { id: `${id}-help`, class: "help" }, `${plain.description ?? ""}${limits}`), this.error);
  }

  get value() {
    return this.drop?.checked ? undefined : this.read(this.input.value);
  }

  /** It has a secret, which nobody is shown: it stays, is replaced, or goes. */
  keepsSecret() {
    this.drop = element("input", { type: "checkbox", id: `${this.input.id}-drop` });
    this.error.before(element("p", { class: "help" }, "It holds a secret, which is not shown and stays unless another is given. ",
      this.drop, element("label", { for: this.drop.id }, ` Remove ${this.name}`)));
  }

  /** Whether it differs from `text`, what was in it before. */
  isChanged(text) {
    return this.input.value !== text || this.drop?.checked === true;
  }

  set value(value) {
    this.input.value = value === undefined ? "" : this.show(value);
  }

  say(text) {
    this.error.textContent = text;
    const { id } = this.input;
    if (text === "") this.input.removeAttribute("aria-invalid");
    else this.input.setAttribute("aria-invalid", "true");
    this.input.setAttribute("aria-describedby", text === "" ? `${id}-help` : `${id}-error ${id}-help`);
  }
}

/* --- The form --- */

function makeFields(schema) {
  const required = new Set(schema.required ?? []);
  return new Map(Object.entries(schema.properties).filter(([, one]) => !one.readOnly)
    .map(([name, one]) => [name, new Field(name, one, required.has(name))]));
}

/** The names at fault: a pointer's first step, "/headers/0" being of headers (RFC 6901). */
function fieldOf(pointer) {
  return (pointer ?? "").split("/")[1]?.replaceAll("~1", "/").replaceAll("~0", "~");
}

class Form {
  constructor(schema, { title, action, cancel, submit }) {
    this.fields = makeFields(schema);
    this.said = element("div");
    this.button = element("button", { class: "main" }, action);
    const first = FIRST.filter((name) => this.fields.has(name)).map((name) => this.fields.get(name).root);
    const rest = [...this.fields].filter(([name]) => !FIRST.includes(name)).map(([, field]) => field.root);
    this.more = element("details", null, element("summary", null, "More options"), rest);
    this.root = element("form", { class: "site-form", novalidate: true, "aria-label": title },
      element("h1", null, title), this.said, first, this.more,
      element("div", { class: "buttons" }, this.button, element("a", { class: "button", href: cancel }, "Cancel")));
    this.root.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(submit);
    });
  }

  async send(submit) {
    this.clear();
    this.button.disabled = true;
    try {
      await submit(this);
    } catch (error) {
      this.refuse(error);
    } finally {
      this.button.disabled = false;
    }
  }

  clear() {
    this.said.replaceChildren();
    for (const field of this.fields.values()) field.say("");
  }

  /** Each fault at its field; the first of them gets the focus. What has no field is said above. */
  refuse(error) {
    const unplaced = [];
    for (const { pointer, detail } of error.errors ?? []) {
      const field = this.fields.get(fieldOf(pointer));
      if (!field) {
        unplaced.push(detail);
        continue;
      }
      field.say(detail);
      if (this.more.contains(field.root)) this.more.open = true;
    }
    const first = this.root.querySelector("[aria-invalid]"); // in the order of the form
    if (unplaced.length > 0 || !first) append(this.said, [errorBox({ message: unplaced.join("; ") || error.message })]);
    first?.focus();
    if (!first) this.said.scrollIntoView({ block: "nearest" });
  }
}

async function schemaOf(api, name) {
  return (await api.description()).components.schemas[name];
}

function done(site, what) {
  sites.put(site);
  announce(`${site.name} is ${what}`);
  location.hash = `#/sites/${site.id}`;
}

export async function newPage(root, api) {
  let sent; // the same body is sent under the same key: a lost answer adds no second site
  let key;
  const form = new Form(await schemaOf(api, "WebsiteNew"), {
    title: "Add a site", action: "Add", cancel: "#/",
    submit: async ({ fields }) => {
      const body = {};
      for (const [name, field] of fields) {
        if (field.value !== undefined) body[name] = field.value;
      }
      const text = JSON.stringify(body);
      if (text !== sent) [sent, key] = [text, `${Date.now()}-${Math.random()}`];
      const { data } = await api.ask("POST", "/websites", { body, headers: { "Idempotency-Key": key } });
      done(data, "added");
    },
  });
  root.append(form.root);
  form.fields.get("url").input.focus();
}

export async function editPage(root, api, id) {
  const [{ data: site, tag }, schema] = await Promise.all([api.ask("GET", `/websites/${id}`), schemaOf(api, "WebsitePatch")]);
  const before = new Map();
  const form = new Form(schema, {
    title: `Edit ${site.name}`, action: "Save", cancel: `#/sites/${id}`,
    submit: async ({ fields }) => {
      const body = {};
      for (const [name, field] of fields) {
        if (field.isChanged(before.get(name))) body[name] = field.value ?? null;
      }
      const { data } = await api.ask("PATCH", `/websites/${id}`, {
        body, type: "application/merge-patch+json", headers: tag ? { "If-Match": tag } : {},
      });
      done(data, "changed");
    },
  });
  for (const [name, field] of form.fields) {
    field.value = site[name];
    before.set(name, field.input.value);
    if (site.secrets?.includes(name)) field.keepsSecret();
  }
  root.append(form.root);
}
