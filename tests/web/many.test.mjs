// 10,000 sites, and a year of one.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { closeBrowser, open, stands, tabTo, until, within } from "./stand.mjs";

const { many } = stands;

after(closeBrowser);

/** Notes when the first row of the list is there to be painted. */
function notePaint() {
  new MutationObserver((_, observer) => {
    if (!document.querySelector(".sites tbody tr a")) return;
    observer.disconnect();
    requestAnimationFrame(() => setTimeout(() => { window.paintedAt = performance.now(); }));
  }).observe(document, { childList: true, subtree: true });
}

const painted = (page) => until(() => page.evaluate(() => window.paintedAt), "the list");

test("the list of 10,000 sites is painted within a second, also by a server that has just started", async () => {
  for (const what of ["first paint, figures not made yet", "first paint"]) {
    const page = await open(many, "#/", { before: notePaint });
    within(await painted(page), 1000, what);
    assert.equal(await page.getByRole("table", { name: "Sites" }).getAttribute("aria-rowcount"), "10001");
    await page.locator(".sites .bar").first().waitFor();
    await page.end();
  }
});

test("a search, a filter and an order of 10,000 sites take less than 100 ms", async () => {
  const page = await open(many, "#/", { before: notePaint });
  await painted(page);
  await page.locator(".sites .bar").first().waitFor();
  const took = (selector, value, event) => page.evaluate(([s, v, e]) => new Promise((resolve) => {
    const input = document.querySelector(s);
    const began = performance.now();
    input.value = v;
    input.dispatchEvent(new Event(e));
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
  }), [selector, value, event]);
  const searches = [];
  for (const text of ["s", "si", "site 0999", "host-77", "group-3", ""]) searches.push(await took("#search", text, "input"));
  within(Math.max(...searches), 100, "search, the slowest of 6");
  within(await took("#by-tag", "group-7", "change"), 100, "filter by tag");
  assert.equal(await page.locator(".count").innerText(), "250 of 10000 sites");
  await took("#by-tag", "", "change");
  within(await took("#by-order", "p95 -1", "change"), 100, "order by p95");
  within(await took("#by-order", "name -1", "change"), 100, "order by name");
  assert.equal(await page.locator(".sites .name").first().innerText(), "site 10000");
  await page.end();
});

test("the keyboard reaches the last of 10,000 rows, of which few are there", async () => {
  const page = await open(many, "#/", { before: notePaint });
  await painted(page);
  await page.selectOption("#by-order", "name 1");
  await tabTo(page, ".sites td .name");
  await page.keyboard.press("End");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "site 10000");
  assert.ok(await page.locator(".sites tbody tr").count() < 60);
  assert.ok(await page.evaluate(() => document.activeElement.getBoundingClientRect().bottom <= innerHeight));
  await page.keyboard.press("PageUp");
  await page.keyboard.press("Home");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "site 00001");
  for (let i = 0; i < 40; i += 1) await page.keyboard.press("Tab");
  await until(() => page.evaluate(() => document.activeElement.textContent === "site 00041"), "the row that Tab leads to");
  await page.end();
});

test("a list that was left is found again where it was", async () => {
  const page = await open(many, "#/", { before: notePaint });
  await painted(page);
  await page.selectOption("#by-order", "name 1");
  await page.evaluate(() => window.scrollTo(0, 100000));
  await until(() => page.evaluate(() => document.querySelector(".sites tbody tr").getAttribute("aria-rowindex") > 1000), "its rows");
  const link = page.locator(".sites .name").nth(12);
  const name = await link.innerText();
  await link.click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
  await page.getByRole("link", { name: "Sites", exact: true }).click();
  await page.getByRole("link", { name, exact: true }).waitFor();
  assert.ok(await page.evaluate(() => window.scrollY) > 90000);
  await page.end();
});

test("a year of a site is plotted within 300 ms", async () => {
  const page = await open(many, "#/sites/10000");
  await page.locator(".plot canvas").waitFor();
  const took = await page.evaluate(() => new Promise((resolve) => {
    const room = document.querySelector(".plot-room");
    const button = [...document.querySelectorAll("button")].find((one) => one.textContent === "1 year");
    const before = room.querySelector("canvas");
    const began = performance.now();
    new MutationObserver((_, observer) => {
      const canvas = room.querySelector("canvas");
      if (!canvas || canvas === before) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
    }).observe(room, { childList: true, subtree: true });
    button.click();
  }));
  within(took, 300, "a year plotted");
  await page.getByText("Values as a table").click();
  const values = page.getByRole("table", { name: "Values of the plot" });
  await values.waitFor();
  assert.equal(await values.locator("tbody tr").count(), 366);
  await page.end();
});
