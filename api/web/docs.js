// The page of /docs: each operation of /openapi.json with a form that sends it.
"use strict";

function element(name, content, ...children) {
  const made = document.createElement(name);
  if (content) made.textContent = content;
  made.append(...children);
  return made;
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.replace(/.*\//, "");
  if (schema.enum) return schema.enum.join(" | ");
  const range = schema.minimum === undefined ? "" : ` ${schema.minimum}..${schema.maximum ?? ""}`;
  return [].concat(schema.type ?? "any").join(" or ") + range;
}

function propertiesTable(schema) {
  const table = element("table", "", element("tr", "", element("th", "member"), element("th", "type"), element("th", "")));
  for (const [name, property] of Object.entries(schema.properties)) {
    const plain = property.anyOf ? property.anyOf[0] : property;
    const required = (schema.required ?? []).includes(name) ? " (required)" : "";
    table.append(element("tr", "", element("td", "", element("code", name), required),
      element("td", typeOf(plain)), element("td", plain.description ?? "")));
  }
  return table;
}

function field(form, parameter) {
  const input = element("input");
  input.name = parameter.name;
  input.dataset.in = parameter.in;
  input.required = parameter.required;
  form.append(element("label", `${parameter.name} (${typeOf(parameter.schema)}): ${parameter.description} `, input));
}

async function send(method, path, form, output) {
  const headers = {};
  const query = new URLSearchParams();
  const token = document.getElementById("token").value;
  let target = path;
  if (token) headers.Authorization = `Bearer ${token}`;
  for (const input of form.querySelectorAll("input")) {
    if (!input.value) continue;
    if (input.dataset.in === "path") target = target.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.dataset.in === "header") headers[input.name] = input.value;
    else query.append(input.name, input.value);
  }
  const area = form.querySelector("textarea");
  if (area) headers["Content-Type"] = area.dataset.type;
  const url = target + (query.size > 0 ? `?${query}` : "");
  const response = await fetch(url, { method: method.toUpperCase(), headers, body: area ? area.value : undefined });
  const endless = (response.headers.get("Content-Type") ?? "").startsWith("text/event-stream");
  if (endless) await response.body.cancel();
  const text = endless ? "A stream without an end: curl -N shows what comes." : await response.text();
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON: shown as it is.
  }
  output.textContent = `${method.toUpperCase()} ${url}\n${response.status} ${response.statusText}\n\n${shown}`;
}

function section(api, path, method, operation) {
  const made = element("section", "", element("h2", `${method.toUpperCase()} ${path}`), element("p", operation.summary));
  const form = element("form");
  const output = element("pre");
  output.hidden = true;
  for (const parameter of operation.parameters ?? []) field(form, parameter);
  if (operation.requestBody) {
    const [type, media] = Object.entries(operation.requestBody.content)[0];
    const area = element("textarea");
    area.dataset.type = type;
    area.value = method === "post" ? '{"url": "https://example.com/", "seconds": 60}' : "{}";
    form.append(element("label", `body (${type}) `, area));
    const details = element("details", "", element("summary", "members of the body"),
      propertiesTable(api.components.schemas[media.schema.$ref.replace(/.*\//, "")]));
    form.append(details);
  }
  form.append(element("button", "Send"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    output.hidden = false;
    send(method, path, form, output).catch((error) => { output.textContent = String(error); });
  });
  const codes = Object.entries(operation.responses).map(([code, answer]) => `${code} ${answer.description}`);
  made.append(element("p", `Answers: ${codes.join(", ")}`), form, output);
  return made;
}

/* A style, a script or a picture of our pages: described, and nothing to ask for by hand. */
function isPartOfPage(path) {
  return path.startsWith("/web/") || /\.(css|js)$/.test(path);
}

async function load() {
  const api = await (await fetch("/openapi.json")).json();
  const list = document.getElementById("operations");
  list.replaceChildren();
  for (const [path, item] of Object.entries(api.paths)) {
    if (isPartOfPage(path)) continue;
    for (const [method, operation] of Object.entries(item)) list.append(section(api, path, method, operation));
  }
}

load();
