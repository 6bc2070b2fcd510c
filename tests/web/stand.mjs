// A browser, pages that note what goes wrong in them, and the database behind.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WEB_MODULES}/`);
const { chromium } = require("playwright-core");
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const stands = JSON.parse(process.env.WEB_STANDS);
export const SECONDS = Number(process.env.WEB_SECONDS ?? 15);
export const WIDTHS = [1280, 390];

let browser;

export async function openBrowser() {
  browser ??= await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"],
  });
}

export async function closeBrowser() {
  await browser?.close();
  browser = undefined;
}

/**
 * A page at `path` ("#/..."), signed in unless token is "". troubles() are errors in the console, of scripts and
 * of the policy; requests elsewhere are among them. `allowed` is what the test brings about itself.
 */
export async function open(stand, path, { width = 1280, dark = false, token = stand.write, allowed = [], before } = {}) {
  await openBrowser();
  const context = await browser.newContext({
    viewport: { width, height: width < 800 ? 844 : 800 }, colorScheme: dark ? "dark" : "light",
    reducedMotion: "reduce", locale: "en-GB", timezoneId: "UTC",
  });
  const page = await context.newPage();
  const found = [];
  page.setDefaultTimeout(SECONDS * 1000);
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") found.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => found.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(stand.url)) found.push(`asked elsewhere: ${request.url()}`);
  });
  await page.addInitScript((value) => {
    if (value) sessionStorage.setItem("sitewatch-token", value);
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
  }, token);
  if (before) await page.addInitScript(before);
  await page.goto(stand.url + path);
  page.troubles = async () => {
    const violated = await page.evaluate(() => window.violations);
    return [...found, ...violated].filter((text) => !allowed.some((pattern) => pattern.test(text)));
  };
  page.end = async () => {
    const troubles = await page.troubles();
    await context.close();
    assert.deepEqual(troubles, []);
  };
  return page;
}

/** What axe finds serious or critical, at WCAG 2.2 AA and its own best practices. */
export async function seriousFaults(page) {
  if (await page.evaluate(() => window.axe === undefined)) await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}

export async function textColor(page) {
  return page.evaluate(() => getComputedStyle(document.body).color);
}

/** Nothing but what scrolls by itself is wider than the window. */
export async function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Presses Tab until the focus is on `selector`, which has to be seen there. */
export async function tabTo(page, selector, { back = false, presses = 80 } = {}) {
  for (let i = 0; i < presses; i += 1) {
    await page.keyboard.press(back ? "Shift+Tab" : "Tab");
    const at = await page.evaluate((wanted) => {
      const active = document.activeElement;
      if (!active?.matches(wanted)) return "elsewhere";
      const { outlineStyle, outlineWidth } = getComputedStyle(active);
      return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 ? "seen" : "not seen";
    }, selector);
    if (at === "elsewhere") continue;
    assert.equal(at, "seen", `the focus on ${selector} is seen`);
    return;
  }
  assert.fail(`Tab does not lead to ${selector}`);
}

export function sql(stand, text) {
  return execFileSync(stand.psql, ["-qXAt", "-v", "ON_ERROR_STOP=1", "-d", stand.dsn, "-c", text], { encoding: "utf8" }).trim();
}

export async function ask(stand, method, path, body) {
  const response = await fetch(new URL(path, stand.url), {
    method, headers: { Authorization: `Bearer ${stand.write}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body ? JSON.stringify(body) : undefined,
  });
  return { status: response.status, headers: response.headers, data: response.status === 204 ? undefined : await response.json() };
}

const SLACK = process.env.WEB_ASSERT_TIMES === "1" ? 1 : 4;

/** A time that docs/dashboard.md promises. */
export function within(ms, limit, what) {
  console.log(`measured: ${what} ${Math.round(ms)} ms`);
  assert.ok(ms < limit * SLACK, `${what}: ${ms} ms, limit ${limit} ms`);
}

/** Until check() gives something true. */
export async function until(check, what, seconds = SECONDS) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await check();
    if (value) return value;
    assert.ok(Date.now() < deadline, `${what}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
