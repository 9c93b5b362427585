// The runs of a sweep, and which of them are chosen: by brushes, by a filter, by bounds on metrics. Everything else on the page follows it.

import { parse } from "./filter.js";

export class Selection extends EventTarget {
  constructor(data) {
    super();
    Object.assign(this, { sweep: data.sweep, axes: data.axes, limits: data.limits, codes: data.codes, agents: data.agents, cut: data.cut, total: data.total });
    this.runs = data.runs;
    this.hosts = new Map(data.agents.map((agent) => [agent.id, agent.host]));
    this.place = new Map(this.runs.map((run, index) => [run.run, index]));
    this.mask = new Uint8Array(this.runs.length).fill(1);
    this.brushes = new Map();
    this.bounds = new Map();
    this.filter = "";
    this.matches = () => true;
    this.chosen = this.runs.length;
  }

  get sign() {
    return this.sweep.goal === "maximize" ? -1 : 1;
  }

  // The parameters of a run with their values, constants last.
  varied(run) {
    this.constants ??= new Set(this.axes.filter((axis) => axis.constant).map((axis) => axis.name));
    const entries = Object.entries(run.params);
    const fixed = ([name]) => this.constants.has(name);
    return [...entries.filter((entry) => !fixed(entry)), ...entries.filter(fixed)];
  }

  // What can be read from a run by its name.
  reader(name) {
    const codes = new Map(this.codes.map((version, index) => [version, index + 1]));
    const own = {
      run: (run) => run.run,
      state: (run) => run.state,
      value: (run) => run.value,
      code: (run) => codes.get(run.code) ?? run.code,
      agent: (run) => run.tries?.at(-1)?.[0],
      machine: (run) => this.host(run),
      failure: (run) => run.failure,
      why: (run) => run.why,
      reason: (run) => run.reason,
      took: (run) => this.took(run),
      attempts: (run) => run.tries?.length ?? 0,
      note: (run) => run.note,
      tag: (run) => run.tags?.join(" "),
      pinned: (run) => (run.pinned ? "yes" : "no"),
    };
    if (this.axes.some((axis) => axis.name === name) || this.runs.some((run) => name in run.params)) return (run) => run.params[name];
    if (name === this.sweep.metric) return (run) => run.value ?? run.metrics?.[name];
    if (this.runs.some((run) => run.metrics && name in run.metrics)) return (run) => run.metrics?.[name];
    return own[name];
  }

  host(run) {
    const agent = run.tries?.at(-1)?.[0];
    return agent === undefined ? undefined : (this.hosts.get(agent) ?? agent);
  }

  took(run) {
    const started = run.tries?.map((attempt) => attempt[3]).find((ms) => ms > 0);
    return started && run.ended ? (run.ended - started) / 1000 : undefined;
  }

  isVisible(run) {
    const index = this.place.get(run);
    return index !== undefined && this.mask[index] === 1;
  }

  visible() {
    return this.runs.filter((_, index) => this.mask[index]);
  }

  // The best of the chosen runs; violated constraints disqualify, as on the controller.
  best(runs = this.visible()) {
    let best = null;
    for (const run of runs) {
      if (run.value === undefined || run.violates || run.aside || (run.state !== "finished" && run.state !== "stopped")) continue;
      if (!best || this.sign * run.value < this.sign * best.value) best = run;
    }
    return best;
  }

  setFilter(text) {
    this.matches = parse(text, (name) => this.reader(name));
    this.filter = text;
    this.update();
  }

  brush(axis, test) {
    if (test) this.brushes.set(axis, test);
    else this.brushes.delete(axis);
    this.update();
  }

  bound(metric, min, max) {
    if (min === null && max === null) this.bounds.delete(metric);
    else this.bounds.set(metric, { min, max, read: this.reader(metric) });
    this.update();
  }

  update() {
    const brushes = [...this.brushes.values()];
    const bounds = [...this.bounds.values()];
    let chosen = 0;
    for (let index = 0; index < this.runs.length; index += 1) {
      const run = this.runs[index];
      let keep = this.matches(run);
      for (let at = 0; keep && at < brushes.length; at += 1) keep = brushes[at](run);
      for (let at = 0; keep && at < bounds.length; at += 1) {
        const value = bounds[at].read?.(run);
        keep = value !== undefined && (bounds[at].min === null || value >= bounds[at].min) && (bounds[at].max === null || value <= bounds[at].max);
      }
      this.mask[index] = keep ? 1 : 0;
      chosen += keep ? 1 : 0;
    }
    this.chosen = chosen;
    this.dispatchEvent(new Event("chosen"));
  }

  // Takes in what has changed.
  merge(sweep, runs, agents) {
    this.sweep = sweep;
    this.agents = agents;
    this.hosts = new Map(agents.map((agent) => [agent.id, agent.host]));
    if (runs.length) {
      for (const run of runs) {
        const index = this.place.get(run.run);
        const known = index === undefined ? null : this.runs[index];
        if (known) this.runs[index] = run;
        else {
          this.place.set(run.run, this.runs.length);
          this.runs.push(run);
        }
      }
      if (this.mask.length < this.runs.length) this.mask = new Uint8Array(this.runs.length);
      this.update();
    }
    this.dispatchEvent(new Event("news"));
  }
}
