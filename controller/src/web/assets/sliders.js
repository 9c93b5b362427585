// Constraint explorer: bounds on metrics, and the best run within them. Works on the page: it has the last values of all metrics.

import { element, inert, number } from "./format.js";

const STEPS = 200;
const METRICS_MAX = 8;

export class Sliders {
  constructor(section, place, selection) {
    this.selection = selection;
    const names = new Map();
    for (const run of selection.runs) {
      for (const [name, value] of Object.entries(run.metrics ?? {})) {
        if (name === selection.sweep.metric || name.startsWith("system/") || !Number.isFinite(value)) continue;
        const known = names.get(name);
        names.set(name, known ? [Math.min(known[0], value), Math.max(known[1], value), known[2] + 1] : [value, value, 1]);
      }
    }
    const limited = new Set(selection.limits.map((limit) => limit.metric));
    const useful = [...names].filter(([, [low, high, count]]) => high > low && count > 2);
    useful.sort((a, b) => Number(limited.has(b[0])) - Number(limited.has(a[0])) || a[0].localeCompare(b[0]));
    this.answer = element("p", { role: "status", style: "padding:0 .75rem" });
    section.hidden = useful.length === 0;
    place.append(...useful.slice(0, METRICS_MAX).map(([name, [low, high]]) => this.slider(name, low, high)), this.answer);
    selection.addEventListener("chosen", () => this.say());
    this.say();
  }

  slider(name, low, high) {
    const limit = this.selection.limits.find((known) => known.metric === name);
    const value = (share) => low + ((high - low) * share) / STEPS;
    const [least, most] = [element("output", { class: "number" }), element("output", { class: "number" })];
    const [from, to] = [element("input", { type: "range", min: "0", max: String(STEPS), value: "0", "aria-label": `least ${inert(name)}` }), element("input", { type: "range", min: "0", max: String(STEPS), value: String(STEPS), "aria-label": `most ${inert(name)}` })];
    const show = () => {
      const [min, max] = [Number(from.value) === 0 ? null : value(Number(from.value)), Number(to.value) === STEPS ? null : value(Number(to.value))];
      least.textContent = min === null ? "any" : number(min);
      most.textContent = max === null ? "any" : number(max);
      return [min, max];
    };
    for (const input of [from, to]) input.addEventListener("input", () => this.selection.bound(name, ...show()));
    show();
    const bounds = limit ? ` (the file asks for ${limit.min === undefined ? `at most ${number(limit.max)}` : `at least ${number(limit.min)}`})` : "";
    return element("div", { class: "slider" }, element("strong", {}, name), element("label", {}, "≥ ", from, least), element("label", {}, "≤ ", to, most), element("span", { class: "soft" }, `${number(low)} to ${number(high)}${bounds}`));
  }

  say() {
    const { selection } = this;
    const best = selection.best();
    const link = (run) => element("a", { href: `/sweeps/${selection.sweep.id}/runs/${run.run}` }, `run ${run.run}`);
    if (!best) return this.answer.replaceChildren("No chosen run has a result that counts.");
    const all = selection.sweep.best?.[0];
    const metric = inert(selection.sweep.metric);
    this.answer.replaceChildren(
      selection.chosen === selection.runs.length ? "Best of all: " : `Best of the ${selection.chosen} that are chosen: `, link(best), `, ${metric} = ${number(best.value)}`,
      ...(all && all !== best.run ? [`; the best of all, run ${all}, has ${number(selection.sweep.best[1])}.`] : ["."]),
    );
  }
}
