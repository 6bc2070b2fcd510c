// Plots of a site's response times, by uPlot (vendor/), and the same figures as a table.

import { element, msText, newId, percentText, table, timeElement } from "./dom.js";

const HEIGHT = 280;
export const PHASES = ["dns", "connect", "tls", "wait", "transfer"];

let loading;

/** uPlot is read when the first plot is drawn. */
function library() {
  loading ??= new Promise((resolve, reject) => {
    document.head.append(element("link", { rel: "stylesheet", href: "/web/vendor/uPlot.min.css" }));
    document.head.append(element("script", {
      src: "/web/vendor/uPlot.iife.min.js", onload: () => resolve(window.uPlot),
      onerror: () => reject(new Error("the plot cannot be loaded")),
    }));
  });
  return loading;
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A point each step, also where the server has none: there the plot has a gap. */
function everyStep({ step, items }, from, to) {
  const known = new Map(items.map((item) => [Date.parse(item.begins) / 1000, item]));
  const points = [];
  for (let at = Math.floor(from / 1000 / step) * step; at < to / 1000; at += step) {
    points.push([at, known.get(at)]);
  }
  return points;
}

/** Areas on top of each other; a point without a response is a gap in all of them. */
function phaseSeries(points) {
  const sums = points.map(([, item]) => (item?.total_ms === undefined ? null : 0));
  const drawn = PHASES.map((phase) => points.map(([, item], i) => {
    if (sums[i] === null) return null;
    sums[i] += item[`${phase}_ms`] ?? 0;
    return sums[i];
  }));
  // The highest first: those below it are painted over it.
  return PHASES.map((phase, i) => ({
    label: phase, data: drawn[i], stroke: color(`phase-${phase}`), fill: color(`phase-${phase}`),
    value: (_, __, ___, at) => msText(at === null || sums[at] === null ? null : points[at][1][`${phase}_ms`] ?? 0),
  })).reverse();
}

const LINES = [["max", "max_ms", "phase-tls", [2, 4]], ["p95", "p95_ms", "phase-wait", [6, 3]], ["p50", "p50_ms", "phase-connect", []]];

function lineSeries(points) {
  return LINES.map(([label, key, name, dash]) => ({
    label, data: points.map(([, item]) => item?.[key] ?? null), stroke: color(name), dash, width: 2,
    value: (_, ms) => msText(ms),
  }));
}

/** Where checks were down: a band, hatched so that it is seen without its colour. */
function drawDown(plot, points, step) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = color("down");
  ctx.lineWidth = 2;
  for (const [at, item] of points) {
    if (!(item?.uptime < 1)) continue;
    const left = plot.valToPos(at, "x", true);
    const right = Math.max(left + 2, plot.valToPos(at + step, "x", true));
    ctx.globalAlpha = 0.25 + 0.5 * (1 - item.uptime);
    ctx.beginPath();
    for (let x = left - bbox.height; x < right; x += 8) {
      ctx.moveTo(Math.max(x, left), bbox.top + bbox.height - Math.max(0, left - x));
      ctx.lineTo(Math.min(x + bbox.height, right), bbox.top + bbox.height - Math.min(bbox.height, right - x));
    }
    ctx.stroke();
  }
  ctx.restore();
}

/* Day and month in words, hours up to 24 (templates of uPlot: for ticks so many seconds apart). */
const TICKS = [
  [28 * 86400, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

function options(series, points, step, width, onzoom) {
  const axis = { stroke: color("text"), grid: { stroke: color("line"), width: 1 }, ticks: { stroke: color("line"), width: 1 } };
  return {
    width, height: HEIGHT,
    scales: { y: { range: (_, __, max) => [0, (max || 1) * 1.1] } },
    axes: [{ ...axis, values: TICKS }, { ...axis, size: 70, values: (_, ticks) => ticks.map((ms) => (ms === 0 ? "0" : msText(ms))) }],
    series: [{ value: (_, at) => (at === null ? "–" : new Date(at * 1000).toLocaleString()) },
      ...series.map(({ data, ...rest }) => ({ spanGaps: false, points: { show: false }, ...rest }))],
    cursor: { drag: { x: true, y: false, setScale: false } },
    hooks: {
      draw: [(plot) => drawDown(plot, points, step)],
      setSelect: [(plot) => {
        if (plot.select.width < 4) return;
        onzoom(plot.posToVal(plot.select.left, "x") * 1000, plot.posToVal(plot.select.left + plot.select.width, "x") * 1000);
      }],
    },
  };
}

/** "Response time from … to …: 24 points, slowest 312 ms". */
function summary(points, keys) {
  const values = points.flatMap(([, item]) => keys.map((key) => item?.[key]).filter((v) => v !== undefined));
  if (values.length === 0) return "No response in this time";
  return `Response time, ${points.filter(([, item]) => item).length} points, fastest ${msText(Math.min(...values))}, slowest ${msText(Math.max(...values))}`;
}

function valuesTable(points, byPhase) {
  const keys = byPhase ? [...PHASES.map((phase) => `${phase}_ms`), "total_ms"] : ["p50_ms", "p95_ms", "max_ms"];
  const rows = points.filter(([, item]) => item).reverse().map(([, item]) => [
    timeElement(item.begins), String(item.checks), percentText(item.uptime), ...keys.map((key) => msText(item[key]))]);
  return table("Values of the plot, newest first", ["From", "Checks", "Uptime", ...keys.map((key) => key.replace("_ms", ""))], rows);
}

/** Fills `root` with a plot of {step, items}; onzoom(from, to) when a part of it is chosen. Returns what ends it. */
export async function drawPlot(root, data, { from, to, byPhase, onzoom }) {
  const UPlot = await library();
  const points = everyStep(data, from, to);
  const series = byPhase ? phaseSeries(points) : lineSeries(points);
  const id = newId("plot");
  const holder = element("div", { class: "plot", role: "img", "aria-labelledby": id });
  const details = element("details", null, element("summary", null, "Values as a table"));
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector("table")) details.append(valuesTable(points, byPhase));
  });
  root.replaceChildren(element("p", { id, class: "help" }, summary(points, byPhase ? ["total_ms"] : ["p50_ms", "max_ms"])), holder, details);
  const plot = new UPlot(options(series, points, data.step, holder.clientWidth, onzoom),
    [points.map(([at]) => at), ...series.map((s) => s.data)], holder);
  const resized = new ResizeObserver(() => plot.setSize({ width: holder.clientWidth, height: HEIGHT }));
  resized.observe(holder);
  return () => {
    resized.disconnect();
    plot.destroy();
  };
}
