// Learning curves of runs. Of many, the best, the newest, and some of those that were stopped early.

import { get } from "./api.js";
import { bulk, color, element, inert, label, number, plain } from "./format.js";
import { colorAt, draw, empty } from "./plotly.js";

const CURVES = 60;

function picked(selection) {
  const runs = selection.visible().filter((run) => run.tries?.length);
  if (runs.length <= CURVES) return runs;
  const chosen = new Set();
  const take = (list, count) => list.slice(0, count).forEach((run) => chosen.add(run));
  const { sign } = selection;
  take(runs.filter((run) => run.value !== undefined).sort((a, b) => sign * (a.value - b.value)), CURVES / 3);
  take(runs.filter((run) => run.state === "stopped").reverse(), CURVES / 3);
  take([...runs].reverse(), CURVES - chosen.size);
  return [...chosen];
}

export class Curves {
  constructor(place, tools, selection) {
    Object.assign(this, { place, selection });
    const names = new Set(selection.sweep.metric ? [selection.sweep.metric] : []);
    for (const run of selection.runs.slice(-300)) for (const name of Object.keys(run.metrics ?? {})) if (!name.startsWith("system/")) names.add(name);
    this.metric = element("select", { "aria-label": "Metric" }, ...[...names].map((name) => element("option", { value: name }, name)));
    this.log = element("input", { type: "checkbox" });
    this.all = element("input", { type: "checkbox" });
    this.allLabel = element("label", {}, this.all, "all values");
    this.note = element("span", { class: "soft" });
    for (const control of [this.metric, this.log, this.all]) control.addEventListener("change", () => this.show());
    tools.append(this.metric, element("label", {}, this.log, "logarithmic"), this.allLabel, this.note);
    document.addEventListener("theme", () => this.show());
    this.show();
  }

  async show() {
    const { selection } = this;
    const runs = picked(selection);
    const known = new Map(runs.map((run) => [run.run, run]));
    const query = new URLSearchParams({ runs: [...known.keys()].join(","), metric: this.metric.value });
    const curves = runs.length ? await get(`/sweeps/${selection.sweep.id}/curves.json?${query}`) : [];
    this.note.textContent = runs.length < selection.chosen ? `${runs.length} of ${selection.chosen} runs: the best, the newest, and those stopped last` : `${curves.length} runs`;
    this.allLabel.hidden = true;
    if (!curves.length) {
      this.note.textContent = "";
      return empty(this.place, runs.length ? `No run has reported ${inert(this.metric.value || "a metric")} over its steps.` : "No run has begun yet.");
    }
    const worth = runs.map((run) => run.value).filter(Number.isFinite).sort((a, b) => selection.sign * (a - b));
    const traces = [];
    const stops = { x: [], y: [], text: [], customdata: [] };
    for (const curve of curves) {
      const run = known.get(curve.run);
      const rank = run.value === undefined ? 1 : worth.indexOf(run.value) / Math.max(1, worth.length - 1);
      const x = curve.steps.every((step, index) => index === 0 || step > curve.steps[index - 1]) ? curve.steps : curve.values.map((_, index) => index);
      const words = selection.varied(run).slice(0, 8).map(([name, value]) => `${name} = ${label(value)}`);
      traces.push({ type: "scatter", mode: x.length === 1 ? "markers" : "lines", x, y: curve.values, name: `run ${run.run}`, customdata: x.map(() => run.run), line: { width: run.run === selection.sweep.best?.[0] ? 3.5 : 1.3, color: colorAt(rank) }, opacity: 0.85, showlegend: false,
        text: plain([`run ${run.run}: ${run.state}`, ...words].join("\n")).replaceAll("\n", "<br>"), hovertemplate: "%{text}<br>%{x}: %{y:.5g}<extra></extra>" });
      if (run.state === "stopped") {
        stops.x.push(x.at(-1));
        stops.y.push(curve.values.at(-1));
        stops.text.push(plain(`run ${run.run} was stopped: ${run.reason || "early termination"}`));
        stops.customdata.push(run.run);
      }
    }
    traces.push({ type: "scatter", mode: "markers", name: "stopped early", ...stops, marker: { symbol: "x", size: 8, color: color("warn") }, hovertemplate: "%{text}<extra></extra>", showlegend: stops.x.length > 0 });
    // Diverged runs must not press all others together. Which values of another metric are bad is not known.
    const points = this.metric.value === selection.sweep.metric ? curves.flatMap((curve) => curve.values) : [];
    const usual = this.log.checked ? undefined : bulk(points, selection.sign, 8);
    this.allLabel.hidden = !usual;
    const range = this.all.checked ? undefined : usual;
    if (range) this.note.textContent += `; ${points.filter((value) => value < range[0] || value > range[1]).length} values lie ${selection.sign > 0 ? "above" : "below"} the axis`;
    await draw(this.place, traces, { xaxis: { title: { text: "step" } }, yaxis: { title: { text: plain(this.metric.value) }, type: this.log.checked ? "log" : "linear", range }, hovermode: "closest" });
    if (!this.place.dataset.linked) {
      this.place.dataset.linked = "yes";
      this.place.on("plotly_click", (event) => event.points[0]?.customdata && (location.href = `/sweeps/${selection.sweep.id}/runs/${event.points[0].customdata}`));
    }
  }
}

// The curves of a few runs over each other.
export async function overlay(place, sweep, metric, runs) {
  const curves = await get(`/sweeps/${sweep}/curves.json?${new URLSearchParams({ runs: runs.join(","), metric })}`);
  const traces = curves.map((curve) => ({ type: "scatter", mode: "lines", x: curve.steps, y: curve.values, name: `run ${curve.run}`, line: { width: 2 }, hovertemplate: `run ${curve.run}, %{x}: %{y:.5g}<extra></extra>` }));
  await draw(place, traces, { xaxis: { title: { text: "step" } }, yaxis: { title: { text: plain(metric) } }, showlegend: true, colorway: ["#0b62c4", "#d1495b", "#2a9d5c", "#e9a23b", "#7b5ea7", "#3b8ea5", "#b56576", "#6d6875"] });
  return number(curves.length);
}
