// The history of a sweep and the importance of its parameters.

import { color, duration, label, number, plain } from "./format.js";
import { MARKERS_MAX, draw } from "./plotly.js";

// How wide the words for a direction are, and what is beside the bars.
const DIRECTION = 115;
const IMPORTANCE_MARGINS = 125;

const ended = (run) => run.ended || 0;

// Of many runs, evenly chosen ones, and those that are kept whatever.
function thinned(runs, keep) {
  if (runs.length <= MARKERS_MAX) return runs;
  const step = runs.length / MARKERS_MAX;
  let next = 0;
  return runs.filter((run, index) => {
    if (index < next && !keep.has(run)) return false;
    if (index >= next) next += step;
    return true;
  });
}

export async function history(place, selection) {
  const { sweep, sign, codes } = selection;
  const done = selection.runs.filter((run) => run.ended).sort((a, b) => ended(a) - ended(b) || a.run - b.run);
  const order = new Map(done.map((run, index) => [run, index + 1]));
  const [xs, bests, improved] = [[], [], new Set()];
  let best = null;
  for (const run of done) {
    if (run.value === undefined || run.violates || run.aside) continue;
    if (best === null || sign * run.value < sign * best) {
      best = run.value;
      improved.add(run);
      xs.push(order.get(run));
      bests.push(best);
    }
  }
  if (xs.length) {
    xs.push(done.length);
    bests.push(best);
  }
  const chosen = done.filter((run) => selection.isVisible(run.run));
  const valued = thinned(chosen.filter((run) => run.value !== undefined), improved);
  const failed = thinned(chosen.filter((run) => run.value === undefined && run.state === "failed"), new Set());
  const text = (run) => plain(`run ${run.run} (${run.state})\n${sweep.metric} ${number(run.value)}\n${Object.entries(run.params).slice(0, 10).map(([name, value]) => `${name} = ${label(value)}`).join("\n")}`).replaceAll("\n", "<br>");
  const [stopped, finished] = [valued.filter((run) => run.state === "stopped"), valued.filter((run) => run.state !== "stopped")];
  // One terrible run must not press all others together, and the early values of stopped runs must not either.
  const values = (finished.length > 2 ? finished : valued).map((run) => run.value).filter(Number.isFinite);
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const spread = sorted.length ? at(0.95) - at(0.05) || Math.abs(at(0.5)) || 1 : 1;
  const range = values.length && valued.length > 8 ? [Math.max(sorted[0], at(0.05) - 1.5 * spread) - 0.05 * spread, Math.min(sorted.at(-1), at(0.95) + 1.5 * spread) + 0.05 * spread] : undefined;
  const floor = range ? range[0] : sorted[0];
  const marks = (name, runs, marker) => ({ type: "scatter", mode: "markers", name, x: runs.map((run) => order.get(run)), y: runs.map((run) => run.value), customdata: runs.map((run) => run.run), text: runs.map(text), hovertemplate: "%{text}<extra></extra>", marker: { size: 6, opacity: 0.6, ...marker } });
  const traces = [
    marks("finished", finished, { color: color("accent") }),
    ...(stopped.length ? [marks("stopped early", stopped, { color: color("warn"), symbol: "diamond-open" })] : []),
    { type: "scatter", mode: "lines", name: "best so far", x: xs, y: bests, line: { shape: "hv", color: color("good"), width: 2.5 }, hovertemplate: "best %{y}<extra></extra>" },
    { type: "scatter", mode: "markers", name: "failed", x: failed.map((run) => order.get(run)), y: failed.map(() => floor), customdata: failed.map((run) => run.run), text: failed.map((run) => plain(`run ${run.run}: ${run.failure || run.reason || "failed"}`)), hovertemplate: "%{text}<extra></extra>", marker: { symbol: "x", size: 6, color: color("bad") } },
  ];
  const shapes = [];
  const annotations = [];
  if (codes.length > 1) {
    const first = new Map();
    for (const run of done) if (run.code && !first.has(run.code)) first.set(run.code, order.get(run));
    codes.forEach((version, index) => {
      if (!first.has(version) || index === 0) return;
      const x = first.get(version) - 0.5;
      shapes.push({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color: color("soft"), dash: "dot", width: 1.5 } });
      annotations.push({ x, y: 1, yref: "paper", text: `code ${index + 1}`, showarrow: false, xanchor: "left", yanchor: "top", font: { size: 11 } });
    });
  }
  await draw(place, traces, { shapes, annotations, xaxis: { title: { text: "runs ended" } }, yaxis: { title: { text: plain(sweep.metric) }, range }, hovermode: "closest" });
  if (!place.dataset.linked) {
    place.dataset.linked = "yes";
    place.on("plotly_click", (event) => {
      const run = event.points[0]?.customdata;
      if (run) location.href = `/sweeps/${sweep.id}/runs/${run}`;
    });
  }
}

export async function importance(place, effects) {
  const shown = [...effects].sort((a, b) => a.share - b.share).slice(-14);
  const widest = Math.max(...shown.map((effect) => effect.share + (effect.share_deviation ?? 0)));
  const trace = {
    type: "bar", orientation: "h", x: shown.map((effect) => 100 * effect.share), y: shown.map((effect) => plain(effect.parameter)),
    error_x: { type: "data", array: shown.map((effect) => 100 * (effect.share_deviation ?? 0)), color: color("soft"), thickness: 1.2 },
    marker: { color: color("accent"), opacity: 0.85 },
    hovertemplate: "%{y}: %{x:.1f} %<extra></extra>",
  };
  const directions = shown.filter((effect) => effect.direction);
  // Directions stand behind the longest bar.
  const wide = Math.max(place.clientWidth - IMPORTANCE_MARGINS, 2 * DIRECTION);
  const range = [0, (widest || 1) * Math.max(1.4, wide / (wide - DIRECTION))];
  const annotations = directions.map((effect) => ({ x: 1, xref: "paper", xanchor: "right", y: plain(effect.parameter), text: effect.direction, showarrow: false, font: { color: color("soft") } }));
  await draw(place, [trace], { annotations, showlegend: false, xaxis: { title: { text: "share of variation, %" }, range: range.map((end) => 100 * end) }, yaxis: { type: "category" }, margin: { l: 110, r: 15, t: 10, b: 40 } });
}

// One metric of one attempt.
export async function metric(place, name, curve) {
  const steps = curve.steps.every((step, index) => index === 0 || step > curve.steps[index - 1]);
  const x = steps ? curve.steps : curve.values.map((_, index) => index);
  await draw(place, [{ type: "scatter", mode: x.length < 40 ? "lines+markers" : "lines", x, y: curve.values, line: { width: 1.8, color: color("accent") }, hovertemplate: "%{x}: %{y}<extra></extra>" }],
    { title: { text: plain(name), font: { size: 13 }, y: 0.96 }, margin: { l: 45, r: 10, t: 30, b: 30 }, showlegend: false });
}

// What a machine did over the time of an attempt.
export async function overTime(place, name, curve) {
  const start = curve.walls[0];
  const x = curve.walls.map((wall) => (wall - start) / 1000);
  await draw(place, [{ type: "scatter", mode: x.length < 3 ? "markers" : "lines", x, y: curve.values, line: { width: 1.5, color: color("good") }, hovertemplate: "%{x:.0f} s: %{y}<extra></extra>" }],
    { title: { text: plain(name), font: { size: 13 }, y: 0.96 }, margin: { l: 45, r: 10, t: 30, b: 30 }, showlegend: false, xaxis: { ticksuffix: " s", rangemode: "nonnegative" }, yaxis: { rangemode: "tozero" } });
  place.title = `over ${duration(curve.walls.at(-1) - start)}`;
}
