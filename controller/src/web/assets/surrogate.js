// The surrogate model along one parameter or over two: mean, uncertainty, runs, and where runs fail.

import { call } from "./api.js";
import { color, element, inert, label, number, plain } from "./format.js";
import { MARKERS_MAX, draw, empty, scale } from "./plotly.js";

const values = (list) => list.map((json) => JSON.parse(json));

export class Surrogate {
  constructor(place, tools, selection, effects) {
    Object.assign(this, { place, selection, cache: new Map() });
    const names = effects.length ? effects.map((effect) => effect.parameter) : selection.axes.filter((axis) => !axis.constant).map((axis) => axis.name);
    const pick = (title, options, chosen) => {
      const select = element("select", { "aria-label": title }, ...options.map((name) => element("option", { value: name, selected: name === chosen }, name || "none")));
      select.addEventListener("change", () => this.show());
      return select;
    };
    this.x = pick("Parameter across", names, names[0]);
    this.y = pick("Parameter up", ["", ...names], "");
    this.what = pick("What to show", ["mean", "uncertainty", "success"], "mean");
    tools.append(element("label", {}, "across ", this.x), element("label", {}, "up ", this.y), this.what);
    document.addEventListener("theme", () => this.show());
    this.show();
  }

  reset() {
    this.cache.clear();
    this.show();
  }

  async show() {
    const [x, y] = [this.x.value, this.y.value === this.x.value ? "" : this.y.value];
    this.what.hidden = !y;
    const key = `${x}\u0000${y}`;
    try {
      if (!this.cache.has(key)) this.cache.set(key, await call("SliceSweep", { sweep_id: this.selection.sweep.id, x, y }));
      const slice = this.cache.get(key);
      await (y ? this.contour(slice, x, y) : this.line(slice, x));
    } catch (error) {
      empty(this.place, inert(error.message));
    }
  }

  axis(name) {
    const axis = this.selection.axes.find((known) => known.name === name);
    const words = axis?.values?.length > 0;
    return { words, read: (value) => (words ? plain(label(value)) : value), layout: { title: { text: plain(name) }, type: words ? "category" : axis?.log ? "log" : "linear" } };
  }

  // The runs of the sweep, as points over one parameter or two.
  runs(x, y) {
    return this.selection.visible().filter((run) => run.params[x] !== undefined && (!y || run.params[y] !== undefined)).slice(-MARKERS_MAX);
  }

  async line(slice, x) {
    const axis = this.axis(x);
    const xs = values(slice.x_json).map(axis.read);
    const mean = slice.mean;
    const low = mean.map((value, index) => value - 2 * slice.deviation[index]);
    const high = mean.map((value, index) => value + 2 * slice.deviation[index]);
    const runs = this.runs(x).filter((run) => run.value !== undefined);
    const failed = this.runs(x).filter((run) => run.state === "failed");
    const [floor, ceiling] = [Math.min(...low), Math.max(...high)];
    const at = (run) => axis.read(run.params[x]);
    const band = axis.words
      ? [{ type: "scatter", mode: "markers", name: "model, ± 2 deviations", x: xs, y: mean, error_y: { type: "data", array: slice.deviation.map((value) => 2 * value), color: color("accent") }, marker: { color: color("accent"), size: 9 } }]
      : [
          { type: "scatter", mode: "lines", x: [...xs, ...xs.toReversed()], y: [...high, ...low.toReversed()], fill: "toself", fillcolor: color("accent"), opacity: 0.18, line: { width: 0 }, name: "± 2 deviations", hoverinfo: "skip" },
          { type: "scatter", mode: "lines", name: "model", x: xs, y: mean, line: { color: color("accent"), width: 2.5 }, hovertemplate: "%{x}: %{y:.4g}<extra></extra>" },
        ];
    const traces = [
      ...band,
      { type: "scatter", mode: "markers", name: "runs", x: runs.map(at), y: runs.map((run) => run.value), marker: { size: 5, opacity: 0.55, color: color("text") }, text: runs.map((run) => `run ${run.run}: ${number(run.value)}`), hovertemplate: "%{text}<extra></extra>" },
      { type: "scatter", mode: "markers", name: "failed", x: failed.map(at), y: failed.map(() => floor), cliponaxis: false, marker: { symbol: "x", color: color("bad"), size: 7 }, text: failed.map((run) => plain(`run ${run.run}: ${run.failure}`)), hovertemplate: "%{text}<extra></extra>" },
    ];
    const shapes = [];
    if (!axis.words) {
      slice.success.forEach((success, index) => {
        if (success >= 0.5 || index === 0) return;
        shapes.push({ type: "rect", xref: "x", yref: "paper", y0: 0, y1: 1, x0: xs[index - 1], x1: xs[index], fillcolor: color("bad"), opacity: 0.14, line: { width: 0 }, layer: "below" });
      });
    }
    const margin = (ceiling - floor) * 0.08 || 1;
    await draw(this.place, traces, { shapes, xaxis: axis.layout, yaxis: { title: { text: plain(this.selection.sweep.metric) }, range: [floor - margin, ceiling + margin] }, hovermode: "closest" });
  }

  async contour(slice, x, y) {
    const [across, up] = [this.axis(x), this.axis(y)];
    const [xs, ys] = [values(slice.x_json).map(across.read), values(slice.y_json).map(up.read)];
    const grid = (list) => ys.map((_, row) => list.slice(row * xs.length, (row + 1) * xs.length));
    const shown = { mean: slice.mean, uncertainty: slice.deviation, success: slice.success }[this.what.value];
    const reversed = this.what.value === "mean" && this.selection.sign < 0;
    const runs = this.runs(x, y);
    const [good, failed] = [runs.filter((run) => run.value !== undefined), runs.filter((run) => run.state === "failed")];
    const spot = (list, marker, name) => ({ type: "scatter", mode: "markers", name, x: list.map((run) => across.read(run.params[x])), y: list.map((run) => up.read(run.params[y])), marker, text: list.map((run) => plain(`run ${run.run}: ${number(run.value) || run.failure}`)), hovertemplate: "%{text}<extra></extra>" });
    const traces = [
      { type: across.words || up.words ? "heatmap" : "contour", x: xs, y: ys, z: grid(shown), colorscale: scale(), reversescale: reversed, contours: { coloring: "heatmap" }, line: { width: 0.5 }, colorbar: { thickness: 12, title: { text: plain(this.what.value === "mean" ? this.selection.sweep.metric : this.what.value), side: "right" } }, hovertemplate: "%{x}, %{y}: %{z:.4g}<extra></extra>", ncontours: 18 },
      spot(good, { size: 5, color: color("card"), line: { color: color("text"), width: 1 } }, "runs"),
      spot(failed, { symbol: "x", size: 7, color: color("bad") }, "failed"),
    ];
    if (!across.words && !up.words && slice.success.some((success) => success < 0.5)) {
      traces.splice(1, 0, { type: "contour", x: xs, y: ys, z: grid(slice.success), contours: { start: 0.5, end: 0.5, size: 1, coloring: "none" }, line: { color: color("bad"), width: 2, dash: "dash" }, showscale: false, hoverinfo: "skip", name: "half of the runs fail or break a constraint", showlegend: true });
    }
    await draw(this.place, traces, { xaxis: across.layout, yaxis: up.layout, hovermode: "closest" });
  }
}
