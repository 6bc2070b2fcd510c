// Every page and form: how it looks, what is read out, what the keyboard does, and what is refused.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";

import { ask, closeBrowser, open, overflow, seriousFaults, sql, stands, tabTo, textColor, until, WIDTHS, within } from "./stand.mjs";

const { few, empty } = stands;
const REFUSED = [/status of 4(01|03|09|12|22)/];

after(closeBrowser);

const row = (page, name) => page.locator(".sites tbody tr", { has: page.getByRole("link", { name, exact: true }) });

/* --- How pages look, and what is read out --- */

const PAGES = {
  "sign in": { path: "#/", token: "", ready: "#token" },
  sites: { path: "#/", ready: ".sites .bar" },
  "sites, none": { stand: empty, path: "#/", ready: "main a[href='#/new']" },
  site: { path: "#/sites/1", ready: ".plot canvas" },
  "site, down": { path: "#/sites/5", ready: ".plot canvas" },
  "site, deleting": { path: "#/sites/1", ready: ".plot canvas", act: (page) => page.getByRole("button", { name: "Delete" }).click() },
  add: { path: "#/new", ready: "#field-url" },
  "add, all options": { path: "#/new", ready: "#field-url", act: (page) => page.getByText("More options").click() },
  "add, refused": {
    path: "#/new", ready: "#field-url", allowed: REFUSED,
    act: async (page) => {
      await page.fill("#field-url", "ftp://example.com/");
      await page.keyboard.press("Enter");
      await page.locator("[aria-invalid]").first().waitFor();
    },
  },
  edit: { path: "#/sites/1/edit", ready: "#field-url" },
  pipeline: { path: "#/pipeline", ready: ".wide td .state" },
  "pipeline, a letter": {
    path: "#/pipeline", ready: ".wide td .state",
    act: async (page) => {
      await page.getByRole("button", { name: "Look at 1", exact: true }).click();
      await page.locator("h3:focus").waitFor();
    },
  },
  "pipeline, none": { stand: empty, path: "#/pipeline", ready: "text=There are none." },
  "public page": { path: "status", ready: "td.up", token: "" },
  "API": { path: "docs", ready: "#operations section", token: "" },
  "no such page": { path: "#/nothing", ready: "main a" },
};

for (const width of WIDTHS) {
  for (const [name, { stand = few, path, ready, act, ...options }] of Object.entries(PAGES)) {
    test(`${name} at ${width} px, light and dark, has no serious fault and nothing that sticks out`, async () => {
      const page = await open(stand, path, { width, ...options });
      await page.locator(ready).first().waitFor();
      await act?.(page);
      const light = await textColor(page);
      assert.deepEqual(await seriousFaults(page), []);
      assert.equal(await overflow(page), 0);
      await page.emulateMedia({ colorScheme: "dark" });
      assert.notEqual(await textColor(page), light);
      assert.deepEqual(await seriousFaults(page), []);
      await page.end();
    });
  }
}

test("what is told by colour is told by text as well", async () => {
  const page = await open(few, "#/");
  await page.locator(".sites .bar").first().waitFor();
  for (const [name, state] of [["shop", "up"], ["billing", "down"], ["old intranet", "paused"]]) {
    assert.match(await row(page, name).locator(".state").innerText(), new RegExp(`\\S ${state}$`));
  }
  assert.match(await row(page, "blog").locator(".bar").getAttribute("aria-label"), /^Last 24 hours: [12] down, \d+ up/);
  await page.end();
});

test("the list is a table whose rows are counted", async () => {
  const page = await open(few, "#/");
  await page.locator(".sites .bar").first().waitFor();
  assert.equal(await page.getByRole("table", { name: "Sites" }).getAttribute("aria-rowcount"), "9");
  assert.deepEqual(await page.getByRole("columnheader").allInnerTexts().then((all) => all.map((text) => text.replace(/ [▲▼]$/, ""))),
    ["Status", "Site", "Last 24 h", "Uptime", "p95", "Certificate"]);
  const rows = await page.locator(".sites tbody tr").evaluateAll((all) => all.map((one) => one.getAttribute("aria-rowindex")));
  assert.deepEqual(rows, ["2", "3", "4", "5", "6", "7", "8", "9"]);
  assert.equal(await page.locator(".sites tbody tr").first().getByRole("cell").count(), 6);
  await page.end();
});

test("sites are searched, filtered and sorted", async () => {
  const page = await open(few, "#/");
  const names = () => page.locator(".sites .name").allInnerTexts();
  await page.locator(".sites .bar").first().waitFor();
  assert.equal((await names())[0], "billing"); // trouble first
  await page.fill("#search", "SHOP front");
  assert.deepEqual(await names(), ["shop"]);
  await page.fill("#search", "");
  await page.selectOption("#by-tag", "internal");
  assert.deepEqual((await names()).sort(), ["billing", "mail", "old intranet", "search"]);
  await page.selectOption("#by-state", "down");
  assert.deepEqual(await names(), ["billing"]);
  assert.equal(await page.locator(".count").innerText(), "1 of 8 sites");
  await page.selectOption("#by-tag", "");
  await page.selectOption("#by-state", "");
  await page.getByRole("button", { name: "Site", exact: true }).click();
  assert.deepEqual(await names(), (await names()).slice().sort((a, b) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1)));
  assert.equal(await page.getByRole("columnheader", { name: "Site" }).getAttribute("aria-sort"), "ascending");
  await page.getByRole("button", { name: /^p95/ }).click();
  await page.getByRole("button", { name: /^p95/ }).click();
  assert.equal((await names())[0], "mail");
  assert.equal((await names()).at(-1), "old intranet"); // it has no p95
  await page.end();
});

/* --- The pipeline's page --- */

test("the pipeline's page says what is not well, and shows a dead letter as text by keyboard alone", async () => {
  const page = await open(few, "#/pipeline");
  await page.locator(".wide td .state").first().waitFor();
  assert.match(await page.locator(".count").innerText(), /^\d+ of \d+ parts not well, \d+ unknown, as of /);
  const first = page.locator("table", { hasText: "Parts of the pipeline" }).locator("tbody tr").first();
  assert.match(await first.innerText(), /not well/);
  await page.locator("tr", { hasText: "api-programs names no program" }).locator(".state-unknown").waitFor();
  await tabTo(page, "td button");
  await page.keyboard.press("Enter");
  await page.locator("h3:focus", { hasText: "Dead letter 2" }).waitFor();
  assert.equal(await page.locator("pre").nth(1).innerText(), "/wA=");
  await tabTo(page, "td button", { back: true });
  await page.keyboard.press("Enter");
  await page.locator("h3:focus", { hasText: "Dead letter 1" }).waitFor();
  assert.equal(await page.locator("pre").nth(1).innerText(), "<img src=x onerror=\"window.ran = 1\"><script>window.ran = 1</script>");
  assert.equal(await page.evaluate(() => window.ran), undefined);
  assert.equal(await page.locator("p code").last().innerText(), "consumer dead-letters replay 1");
  await tabTo(page, "p button");
  await page.keyboard.press("Enter");
  await page.locator("p button", { hasText: /Copied|Selected/ }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Older" }).isDisabled(), true);
  await page.end();
});

/* --- The keyboard alone --- */

for (const width of WIDTHS) {
  test(`a site is added, mended, looked at and deleted by keyboard at ${width} px`, async () => {
    const page = await open(few, "#/", { width, token: "", allowed: REFUSED });
    const keys = page.keyboard;
    await page.locator("#token:focus").waitFor();
    await keys.type("sw_1_wrong");
    await keys.press("Enter");
    await page.getByRole("alert").waitFor();
    await page.locator("#token:focus").waitFor();
    await page.evaluate(() => document.activeElement.select());
    await keys.type(few.write);
    await keys.press("Enter");
    await page.locator(".sites .bar").first().waitFor();
    assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);

    await tabTo(page, "nav a[href='#/new']");
    await keys.press("Enter");
    await page.locator("#field-url:focus").waitFor();
    await keys.type(`https://keyboard-${width}.example/`);
    await tabTo(page, "#field-name");
    await keys.type(`keyboard ${width}`);
    await tabTo(page, "#field-seconds");
    await keys.type("4");
    await tabTo(page, "#field-pattern");
    await keys.type("a(b");
    await keys.press("Enter");
    await page.locator("#field-seconds:focus").waitFor();
    assert.match(await page.locator("#field-seconds-error").innerText(), /4 is not in 5\.\.300/);
    assert.match(await page.locator("#field-pattern-error").innerText(), /pattern/);
    assert.match(await page.locator("#field-seconds").getAttribute("aria-describedby"), /^field-seconds-error /);
    await keys.press("Control+a");
    await keys.type("30");
    await tabTo(page, "#field-pattern");
    await keys.press("Control+a");
    await keys.type("a(b)");
    await keys.press("Enter");
    await page.getByRole("heading", { level: 1, name: `keyboard ${width}` }).waitFor();

    await tabTo(page, "a[href$='/edit']");
    await keys.press("Enter");
    await page.locator("#field-tags").waitFor();
    await tabTo(page, "#field-tags");
    await keys.type("one\ntwo");
    await tabTo(page, "#field-pattern", { back: true });
    await keys.press("Control+a");
    await keys.press("Delete");
    await tabTo(page, "button.main");
    await keys.press("Enter");
    await page.locator(".facts .tag").nth(1).waitFor();
    assert.equal(await page.getByText("Last answers of its pattern").count(), 0);

    await tabTo(page, "button[aria-pressed=false]"); // the first range
    await keys.press("Enter");
    await page.locator("button[aria-pressed=true]", { hasText: "1 hour" }).waitFor();
    await tabTo(page, "button.danger", { back: true });
    await keys.press("Enter");
    await page.locator("dialog[open]").waitFor();
    await keys.press("Escape");
    await page.locator("button.danger:focus").waitFor();
    await keys.press("Enter");
    await page.locator("dialog[open] button[value=cancel]:focus").waitFor();
    await tabTo(page, "button[value=delete]");
    await keys.press("Enter");
    await page.locator(".sites").waitFor();
    assert.equal(await row(page, `keyboard ${width}`).count(), 0);
    assert.equal(sql(few, `SELECT count(*) FROM websites WHERE name = 'keyboard ${width}' AND deleted_at IS NOT NULL`), "1");
    await page.end();
  });
}

test("arrows, Home and End move in the list, and what has the focus keeps it while rows change", async () => {
  const page = await open(few, "#/");
  await page.locator(".sites .bar").first().waitFor();
  await tabTo(page, ".sites td .name");
  const at = () => page.evaluate(() => document.activeElement.closest("tr")?.getAttribute("aria-rowindex"));
  assert.equal(await at(), "2");
  await page.keyboard.press("ArrowDown");
  assert.equal(await at(), "3");
  await page.keyboard.press("End");
  assert.equal(await at(), "9");
  await page.keyboard.press("Home");
  const name = await page.evaluate(() => document.activeElement.textContent);
  assert.equal(name, "billing");
  await ask(few, "PATCH", "/websites/5", { tags: ["internal", "money"] });
  await row(page, "billing").getByText("money").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), name);
  await ask(few, "PATCH", "/websites/5", { tags: ["internal"] });
  await page.end();
});

/* --- A site's page --- */

test("a site's page shows its phases, codes, incidents, answers and checks", async () => {
  const page = await open(few, "#/sites/1");
  await page.locator(".plot canvas").waitFor();
  assert.deepEqual((await page.locator(".u-legend .u-series th").allInnerTexts()).slice(1), ["transfer", "wait", "tls", "connect", "dns"]);
  assert.match(await page.locator(".plot").evaluate((plot) => document.getElementById(plot.getAttribute("aria-labelledby")).textContent),
    /^Response time, \d+ points, fastest \d+.*, slowest \d+/);
  await page.getByText("Values as a table").click();
  const values = page.getByRole("table", { name: "Values of the plot" });
  await values.waitFor();
  assert.ok(await values.getByRole("row").count() > 200);
  assert.match(await page.getByRole("table", { name: "Response codes" }).innerText(), /200\s+\d+\s+100 %/);
  assert.match(await page.locator(".answers code").first().innerText(), /^v=(\d\d) · \1$/);
  assert.equal(await page.getByRole("table", { name: "Checks, newest first" }).getByRole("row").count(), 21);
  const newest = await page.getByRole("table", { name: "Checks, newest first" }).getByRole("row").nth(1).innerText();
  await page.getByRole("button", { name: "Older" }).last().click();
  await page.getByText("Page 2").waitFor();
  assert.notEqual(await page.getByRole("table", { name: "Checks, newest first" }).getByRole("row").nth(1).innerText(), newest);
  await page.getByRole("button", { name: "Newer" }).last().click();
  await page.getByText("Page 1").waitFor();
  await page.end();
});

test("an incident that is open and one that is over are shown as such", async () => {
  const open5 = await open(few, "#/sites/5");
  assert.match(await open5.getByRole("table", { name: "Incidents" }).getByRole("row").nth(1).innerText(), /down.*–.*min.*status 503 is not in 200-399/s);
  await open5.end();
  const over = await open(few, "#/sites/3");
  assert.match(await over.getByRole("table", { name: "Incidents" }).getByRole("row").nth(1).innerText(), /^over/);
  await over.end();
});

test("what could not be judged is a gap in the plot", async () => {
  const page = await open(few, "#/sites/4", { allowed: [/getImageData/] }); // it warns that we look twice
  await page.locator(".plot canvas").waitFor();
  await page.getByText("Values as a table").click();
  const values = page.getByRole("table", { name: "Values of the plot" });
  await values.waitFor();
  const times = await values.locator("tbody time").evaluateAll((all) => all.map((time) => Date.parse(time.dateTime)));
  const ends = times.slice(1).filter((time, i) => times[i] - time > 45 * 60000);
  assert.equal(ends.length, 1);
  // What is painted just above the axis at some time: 0 where there is nothing, or a line of the grid beside it.
  const painted = (at) => page.evaluate((share) => {
    const canvas = document.querySelector(".plot canvas");
    const [outer, inner] = [canvas, document.querySelector(".plot .u-over")].map((one) => one.getBoundingClientRect());
    const scale = canvas.width / outer.width;
    const [x, y] = [inner.left - outer.left + inner.width * share, inner.bottom - outer.top - 5];
    const { data } = canvas.getContext("2d").getImageData(x * scale, y * scale, 6, 1);
    return Math.min(...[...data].filter((_, i) => i % 4 === 3));
  }, (at - times.at(-1)) / (times[0] - times.at(-1)));
  assert.equal(await painted(ends[0] + 30 * 60000), 0);
  assert.equal(await painted(ends[0] - 60 * 60000), 255);
  await page.end();
});

test("the plot's range is chosen, moved and zoomed, and long ones show percentiles", async () => {
  const page = await open(few, "#/sites/1");
  await page.locator(".plot canvas").waitFor();
  const asked = [];
  page.on("request", (request) => {
    if (/\/(metrics|phases)\?/.test(request.url())) asked.push(new URL(request.url()));
  });
  const length = (url) => (Date.parse(url.searchParams.get("to")) - Date.parse(url.searchParams.get("from"))) / 3600000;
  const press = async (name) => {
    asked.length = 0;
    await page.getByRole("button", { name, exact: true }).click();
    await until(() => asked.length > 0, `a request after ${name}`);
    return length(asked[0]);
  };
  assert.equal(await press("7 days"), 168);
  assert.equal(await press("Zoom in"), 84);
  assert.equal(await press("Earlier"), 84);
  assert.equal(await press("Zoom out"), 168);
  assert.equal(await press("30 days"), 720);
  assert.deepEqual(asked.map((url) => url.pathname), ["/websites/1/metrics"]);
  await page.locator(".u-legend", { hasText: "p95" }).waitFor();
  assert.equal(await press("24 hours"), 24);
  await page.locator(".u-legend", { hasText: "transfer" }).waitFor();
  const { x, y, width, height } = await page.locator(".plot .u-over").boundingBox();
  asked.length = 0;
  await page.mouse.move(x + width / 4, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + width / 2, y + height / 2, { steps: 4 });
  await page.mouse.up();
  await until(() => asked.length > 0, "a request after a part was chosen");
  assert.ok(Math.abs(length(asked[0]) - 6) < 0.5, `${length(asked[0])} hours`);
  await page.end();
});

test("a change that somebody else made meanwhile is not overwritten", async () => {
  const page = await open(few, "#/sites/6/edit", { allowed: REFUSED });
  await page.locator("#field-seconds").waitFor();
  assert.equal((await ask(few, "PATCH", "/websites/6", { seconds: 120 })).status, 200);
  await page.fill("#field-seconds", "200");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").waitFor();
  assert.equal(sql(few, "SELECT monitoring_interval FROM websites WHERE website_id = 6"), "120");
  await page.end();
});

test("a secret is written and not shown, stays, and is removed when that is asked", async () => {
  const set = () => sql(few, "SELECT coalesce(config -> 'sealed', '{}') ? 'password' FROM websites WHERE name = 'secret'");
  const page = await open(few, "#/new");
  await page.fill("#field-url", "https://secret.example/");
  await page.fill("#field-name", "secret");
  await page.getByText("More options").click();
  await page.fill("#field-username", "me");
  await page.fill("#field-password", "hush");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByRole("link", { name: "Edit" }).click();
  await page.locator("#field-seconds").fill("90");
  assert.equal(await page.locator("#field-password").inputValue(), "");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("1 min 30 s").waitFor();
  assert.equal(set(), "t");
  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByText("More options").click();
  await page.getByLabel("Remove password").check();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { level: 1, name: "secret" }).waitFor();
  assert.equal(set(), "f");
  await page.end();
});

test("a token that may only read is told so, and one that is revoked leads to signing in", async () => {
  const page = await open(few, "#/new", { token: few.read, allowed: REFUSED });
  await page.fill("#field-url", "https://read.example/");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByRole("alert").filter({ hasText: "scope write" }).waitFor();
  sql(few, "UPDATE api_tokens SET revoked_at = now() WHERE scope = 'read'");
  await page.getByRole("button", { name: "Add" }).click();
  await page.locator("#token").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.end();
});

/* --- Live --- */

test("a site that turns down while the page is open is shown and said", async () => {
  const page = await open(few, "#/");
  await row(page, "mail").locator(".state-up").waitFor();
  await page.locator("#live", { hasText: "Live" }).waitFor();
  const began = Date.now();
  sql(few, "UPDATE site_state SET status = 'down', since = now(), last_slot = now() WHERE website_id = 8");
  await row(page, "mail").locator(".state-down").waitFor();
  const took = Date.now() - began;
  await page.locator("#announcer", { hasText: "mail is down" }).waitFor({ state: "attached" });
  await until(async () => /^\(2 down\)/.test(await page.title()), "the title");
  sql(few, "UPDATE site_state SET status = 'up', since = now(), last_slot = now() WHERE website_id = 8");
  await row(page, "mail").locator(".state-up").waitFor();
  within(took, 2000, "down is shown after");
  await page.end();
});

/** Pages whose /events are these answers in turn, and then none; notes what was asked. */
async function fed(answers, allowed) {
  const asked = [];
  const page = await open(few, "", { allowed });
  await page.route("**/events", (route) => {
    asked.push(route.request().headers()["last-event-id"]);
    const answer = answers.shift();
    if (answer === undefined) return new Promise(() => {});
    return route.fulfill(typeof answer === "number" ? { status: answer } : { status: 200, contentType: "text/event-stream", body: answer });
  });
  await page.reload();
  await page.locator(".sites .bar").first().waitFor();
  return { page, asked };
}

test("a lost stream is taken up where it ended, and what was missed is read anew", async () => {
  const down = { id: 8, name: "mail", state: "down", since: null, last_slot: null, locations: [] };
  const { page, asked } = await fed([
    `: hello\r\nid: a-1\r\nevent: state\r\ndata: ${JSON.stringify(down).replace(",", ",\r\ndata: ")}\r\n\r\n`, 503,
    "event: reset\nid: b-7\ndata: {}\n\n",
  ], [/status of 503/]);
  await row(page, "mail").locator(".state-down").waitFor();
  await page.locator("#live", { hasText: "Connecting" }).waitFor();
  await row(page, "mail").locator(".state-up").waitFor(); // after the reset
  await until(() => asked.length === 4, "a fourth connection");
  assert.deepEqual(asked, [undefined, "a-1", "a-1", "b-7"]);
  await page.end();
});

test("where there are no events the sites are read every few seconds", async () => {
  const { page, asked } = await fed([404], [/status of 404/]);
  await page.locator("#live", { hasText: "Read every few seconds" }).waitFor();
  await Promise.all([page.waitForRequest("**/overview"), page.waitForResponse("**/overview")]);
  assert.equal(asked.length, 1);
  await page.end();
});

/* --- What others wrote --- */

const EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';

test("the page of the API sends what is filled in, with the token, and shows the answer", async () => {
  const page = await open(empty, "docs", { token: "", allowed: REFUSED });
  const operation = (name) => page.locator("#operations section", { has: page.getByRole("heading", { name, exact: true }) });
  const send = async (name) => {
    await operation(name).getByRole("button", { name: "Send" }).click();
    return (status) => operation(name).locator("pre", { hasText: `\n${status} ` }).innerText();
  };
  const names = await page.locator("#operations h2").allInnerTexts();
  for (const name of ["GET /websites", "POST /websites", "PUT /websites", "GET /website", "GET /monitoring"]) {
    assert.ok(names.includes(name), name);
  }
  assert.ok(!names.some((name) => /\/web\/|\.(css|js)$/.test(name)), "no parts of pages");
  await (await send("GET /websites"))(401);

  await page.fill("#token", empty.write);
  const body = operation("POST /websites").getByRole("textbox", { name: /^body/ });
  await body.fill('{"url": "https://docs.example/", "seconds": 4}');
  assert.match(await (await send("POST /websites"))(422), /seconds: 4 is not in 5\.\.300/);
  await body.fill('{"url": "https://docs.example/", "seconds": 5}');
  const { id } = JSON.parse((await (await send("POST /websites"))(201)).replace(/^[^{]*/, ""));

  await operation("GET /website").getByRole("textbox", { name: /^keyword/ }).fill("DOCS.EX");
  const found = await (await send("GET /website"))(200);
  assert.match(found, /^GET \/website\?keyword=DOCS\.EX\n/);
  assert.equal(JSON.parse(found.replace(/^[^{]*/, "")).items[0].id, id);

  await operation("DELETE /websites/{id}").getByRole("textbox", { name: /^id/ }).fill(String(id));
  await (await send("DELETE /websites/{id}"))(204);
  await page.end();
});

test("text from a site with script in it is shown, never run", async () => {
  const made = await ask(few, "POST", "/websites", { url: "https://evil.example/", name: `evil ${EVIL}`, pattern: "(.*)", tags: [EVIL.slice(0, 60)] });
  assert.equal(made.status, 201);
  const { id } = made.data;
  sql(few, `UPDATE websites SET website_url = 'javascript:window.hacked=1' WHERE website_id = ${id}`);
  sql(few, `INSERT INTO checks (website_id, slot, checked_at, lag_us, location_id, attempt, http_status, response_time_us, final, regex_matched,
      status, observer, error_type, error_message, regex_response)
    VALUES (${id}, now(), now(), 1, 1, 1, 200, 1000, true, true, 'down', 'host-1', 'status', '${EVIL}', '[["${EVIL.replaceAll('"', '\\"')}"]]')`);
  sql(few, `INSERT INTO incidents (website_id, opened_slot, location_id, checks, error_type, error_message) VALUES (${id}, now(), 1, 1, 'status', '${EVIL}')`);
  const page = await open(few, "#/");
  await row(page, `evil ${EVIL}`).waitFor();
  await page.getByRole("link", { name: `evil ${EVIL}` }).click();
  await page.locator(".answers code", { hasText: EVIL }).waitFor();
  await page.getByRole("table", { name: "Incidents" }).getByText(EVIL).waitFor();
  await page.getByRole("table", { name: "Checks, newest first" }).getByText(EVIL).waitFor();
  assert.match(await page.title(), /<script>/);
  assert.equal(await page.locator("a[href^='javascript']").count(), 0);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  await page.goto(`${few.url}#/sites/${id}/edit`);
  await page.locator("h1", { hasText: EVIL }).waitFor();
  assert.equal(await page.locator("main img, main script").count(), 0);
  await page.end();
  assert.equal((await ask(few, "DELETE", `/websites/${id}`)).status, 204);
});

test("the policy keeps out scripts that are not ours", async () => {
  const policy = (await fetch(few.url)).headers.get("Content-Security-Policy");
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe|\*|data:|https?:/);
  const page = await open(few, "#/", { allowed: [/script-src|Content Security Policy/] });
  await page.locator(".sites .bar").first().waitFor();
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.hacked = 1";
    document.body.append(script);
    document.body.insertAdjacentHTML("beforeend", '<img src="/no" onerror="window.hacked = 1">');
  });
  await until(() => page.evaluate(() => window.violations.length > 0), "a violation");
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  await page.close();
});

test("the library in api/web/vendor is the one that npm has, with its licence", () => {
  const vendor = new URL("../../api/web/vendor/", import.meta.url);
  const sums = readFileSync(new URL("SHA256SUMS", vendor), "utf8").trim().split("\n").map((line) => line.split("  "));
  const files = { "uPlot.iife.min.js": "dist/uPlot.iife.min.js", "uPlot.min.css": "dist/uPlot.min.css", "uPlot.LICENSE": "LICENSE" };
  assert.deepEqual(sums.map(([, file]) => file).sort(), Object.keys(files).sort());
  for (const [sum, file] of sums) {
    const ours = readFileSync(new URL(file, vendor));
    assert.equal(createHash("sha256").update(ours).digest("hex"), sum);
    assert.ok(ours.equals(readFileSync(`${process.env.WEB_MODULES}/node_modules/uplot/${files[file]}`)), file);
  }
});

/* --- Pictures for the documents --- */

const PICTURES = {
  "dashboard-sites.png": { path: "#/", ready: ".sites .bar", height: 620 },
  "dashboard-sites-phone.png": { path: "#/", ready: ".sites .bar", width: 390, dark: true, height: 780 },
  "dashboard-site.png": { path: "#/sites/1", ready: ".plot canvas", height: 900 },
  "dashboard-pipeline.png": { path: "#/pipeline", ready: ".wide td .state", height: 760 },
  "dashboard-public.png": { path: "status", ready: "td.up", width: 700, height: 300 },
  "dashboard-form.png": {
    path: "#/new", ready: "#field-url", height: 620,
    act: async (page) => {
      await page.fill("#field-url", "https://shop.example/");
      await page.fill("#field-seconds", "4");
      await page.keyboard.press("Enter");
      await page.locator("[aria-invalid]").first().waitFor();
      await page.evaluate(() => document.activeElement.blur());
    },
  },
};

for (const [file, { path, ready, act, width = 1100, height, dark }] of process.env.WEB_SCREENSHOTS ? Object.entries(PICTURES) : []) {
  test(`picture ${file}`, async () => {
    const page = await open(few, path, { width, dark, allowed: REFUSED });
    await page.setViewportSize({ width, height });
    await page.locator(ready).first().waitFor();
    await act?.(page);
    await page.screenshot({ path: `${process.env.WEB_SCREENSHOTS}/${file}` });
    await page.end();
  });
}
