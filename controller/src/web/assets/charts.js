// The history of a sweep and the importance of its parameters.

import { bulk, color, duration, element, label, number, plain } from "./format.js";
import { MARKERS_MAX, draw, empty, isNarrow } from "./plotly.js";

// How wide the words for a direction are, and what is beside the bars.
const DIRECTION = 115;
const IMPORTANCE_MARGINS = 125;

const ended = (run) => run.ended || 0;

// Of many runs, evenly chosen ones, and those that are kept in any case.
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

// The best value after each run that has ended, and the runs that improved it.
function bestSoFar(done, order, sign) {
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
  return { xs, bests, improved };
}

// Where each version of the code began.
function versions(codes, done, order) {
  const [shapes, annotations] = [[], []];
  const first = new Map();
  for (const run of done) if (run.code && !first.has(run.code)) first.set(run.code, order.get(run));
  codes.forEach((version, index) => {
    if (!first.has(version) || index === 0) return;
    const x = first.get(version) - 0.5;
    shapes.push({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color: color("soft"), dash: "dot", width: 1.5 } });
    annotations.push({ x, y: 1, yref: "paper", text: `code ${index + 1}`, showarrow: false, xanchor: "left", yanchor: "top", font: { size: 11 } });
  });
  return { shapes, annotations };
}

const check = (name, action) => {
  const box = element("input", { type: "checkbox" });
  box.addEventListener("change", action);
  return { box, label: element("label", {}, box, name) };
};

export class History {
  constructor(place, tools, selection) {
    Object.assign(this, { place, selection });
    this.all = check("all values", () => this.show());
    this.log = check("logarithmic", () => this.show());
    this.note = element("span", { class: "soft" });
    tools.append(this.all.label, this.log.label, this.note);
    this.show();
  }

  // Says why there is nothing to draw.
  nothing(done) {
    const { sweep, runs } = this.selection;
    const failed = done.filter((run) => run.state === "failed").length;
    const words = failed ? [`No run has a value: ${failed} of ${done.length} failed. `, element("a", { href: "#failures" }, "Failures")]
      : done.length ? ["No run that has ended has a value."]
      : runs.length ? ["No run has ended yet."]
      : ["No run has begun. Start an agent: ", element("code", {}, `sweep agent ${sweep.id}`)];
    [this.all, this.log].forEach(({ label }) => (label.hidden = true));
    this.note.textContent = "";
    empty(this.place, ...words);
  }

  async show() {
    const { place, selection } = this;
    const { sweep, sign, codes } = selection;
    const done = selection.runs.filter((run) => run.ended).sort((a, b) => ended(a) - ended(b) || a.run - b.run);
    const order = new Map(done.map((run, index) => [run, index + 1]));
    const { xs, bests, improved } = bestSoFar(done, order, sign);
    const chosen = done.filter((run) => selection.isVisible(run.run));
    if (!done.some((run) => run.value !== undefined)) return this.nothing(done);
    const valued = thinned(chosen.filter((run) => run.value !== undefined), improved);
    const failed = thinned(chosen.filter((run) => run.value === undefined && run.state === "failed"), new Set());
    const text = (run) => plain(`run ${run.run} (${run.state})\n${sweep.metric} ${number(run.value)}\n${selection.varied(run).slice(0, 10).map(([name, value]) => `${name} = ${label(value)}`).join("\n")}`).replaceAll("\n", "<br>");
    // Diverged runs and the early values of stopped ones must not press all others together.
    const finished = valued.filter((run) => run.state !== "stopped");
    const values = (finished.length > 3 ? finished : valued).map((run) => run.value);
    const usual = bulk(values, sign);
    this.all.label.hidden = !usual;
    this.log.label.hidden = valued.some((run) => run.value <= 0);
    const log = this.log.box.checked && !this.log.label.hidden;
    const range = log || this.all.box.checked ? undefined : usual;
    const [out, shown] = [[], []];
    for (const run of valued) (range && (run.value < range[0] || run.value > range[1]) ? out : shown).push(run);
    this.note.textContent = out.length ? `${out.length} of ${valued.length} values lie ${sign > 0 ? "above" : "below"} the axis` : "";
    const marks = (name, runs, marker, y = (run) => run.value) => ({ type: "scatter", mode: "markers", name, x: runs.map((run) => order.get(run)), y: runs.map(y), customdata: runs.map((run) => run.run), text: runs.map(text), hovertemplate: "%{text}<extra></extra>", cliponaxis: false, marker: { size: 6, opacity: 0.6, ...marker } });
    const stopped = shown.filter((run) => run.state === "stopped");
    const floor = range ? range[0] : Math.min(...valued.map((run) => run.value), ...bests);
    const traces = [
      marks("finished", shown.filter((run) => run.state !== "stopped"), { color: color("accent") }),
      ...(stopped.length ? [marks("stopped early", stopped, { color: color("warn"), symbol: "diamond-open", size: 8, opacity: 0.9, line: { width: 1.5 } })] : []),
      ...(out.length ? [marks(sign > 0 ? "above" : "below", out, { color: color("soft"), symbol: sign > 0 ? "triangle-up" : "triangle-down", size: 9 }, () => (sign > 0 ? range[1] : range[0]))] : []),
      { type: "scatter", mode: "lines", name: "best so far", x: xs, y: bests, line: { shape: "hv", color: color("good"), width: 2.5 }, hovertemplate: "best %{y}<extra></extra>" },
      ...(failed.length ? [{ ...marks("failed", failed, { symbol: "x", size: 6, opacity: 1, color: color("bad") }, () => floor), text: failed.map((run) => plain(`run ${run.run}: ${run.failure || run.reason || "failed"}`)) }] : []),
    ];
    await draw(place, traces, { ...versions(codes, done, order), xaxis: { title: { text: "runs ended" } }, yaxis: { title: { text: plain(sweep.metric) }, range, type: log ? "log" : "linear" }, hovermode: "closest" });
    if (place.dataset.linked) return;
    place.dataset.linked = "yes";
    place.on("plotly_click", (event) => {
      const run = event.points[0]?.customdata;
      if (run) location.href = `/sweeps/${sweep.id}/runs/${run}`;
    });
  }
}

// Names that are longer are cut beside narrow charts.
const NAME_MAX = 16;
const NARROW_BARS_MAX = 8;

export async function importance(place, effects) {
  const narrow = isNarrow(place);
  const shown = [...effects].sort((a, b) => a.share - b.share).slice(narrow ? -NARROW_BARS_MAX : -14);
  const widest = Math.max(...shown.map((effect) => effect.share + (effect.share_deviation ?? 0)));
  const names = shown.map((effect) => plain(effect.parameter));
  const cut = (name) => (narrow && name.length > NAME_MAX ? `${name.slice(0, NAME_MAX - 1)}…` : name);
  const trace = {
    type: "bar", orientation: "h", x: shown.map((effect) => 100 * effect.share), y: names, width: narrow ? 0.4 : undefined,
    error_x: { type: "data", array: shown.map((effect) => 100 * (effect.share_deviation ?? 0)), color: color("soft"), thickness: 1.2 },
    marker: { color: color("accent"), opacity: 0.85 },
    hovertemplate: "%{y}: %{x:.1f} %<extra></extra>",
  };
  // Directions stand behind the longest bar, or below their own one.
  const wide = Math.max(place.clientWidth - IMPORTANCE_MARGINS, 2 * DIRECTION);
  const end = 100 * (widest || 1) * (narrow ? 1.1 : Math.max(1.4, wide / (wide - DIRECTION)));
  const step = [5, 10, 20, 25, 50].find((size) => end / size <= 6) ?? 50;
  const ticks = Array.from({ length: Math.floor(Math.min(100, end) / step) + 1 }, (_, index) => index * step);
  const below = (0.35 * (place.clientHeight - 60)) / shown.length;
  const annotations = shown.map((effect, index) => ({ effect, index })).filter(({ effect }) => effect.direction).map(({ effect, index }) => (narrow
    ? { x: 0, xanchor: "left", y: names[index], yshift: -below, text: effect.direction, showarrow: false, font: { color: color("soft"), size: 11 } }
    : { x: 1, xref: "paper", xanchor: "right", y: names[index], text: effect.direction, showarrow: false, font: { color: color("soft") } }));
  await draw(place, [trace], { annotations, showlegend: false, xaxis: { title: { text: narrow ? "share, %" : "share of variation, %" }, range: [0, end], tickvals: ticks }, yaxis: { type: "category", tickvals: names, ticktext: shown.map((effect) => plain(cut(effect.parameter))) }, margin: { l: narrow ? 40 : 110, r: 15, t: 10, b: 40 } });
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
