// The page of one run, and of runs side by side.

import * as actions from "./actions.js";
import { call, get, live } from "./api.js";
import * as charts from "./charts.js";
import * as code from "./code.js";
import { overlay } from "./curves.js";
import { element, inert, later } from "./format.js";
import { whenSeen } from "./plotly.js";

const byId = (id) => document.getElementById(id);
const CHARTS_MAX = 24;

class Log {
  constructor(base, output, tools) {
    Object.assign(this, { base, output, text: output.textContent, hits: [], at: -1 });
    this.search = element("input", { type: "search", placeholder: "search the output", "aria-label": "Search the output" });
    this.found = element("span", { class: "soft", role: "status" });
    this.following = element("input", { type: "checkbox", checked: true });
    this.search.addEventListener("input", later(150, () => this.show()));
    this.search.addEventListener("keydown", (event) => event.key === "Enter" && this.step(event.shiftKey ? -1 : 1));
    tools.append(this.search, this.found, element("button", { type: "button", onclick: () => this.step(-1), "aria-label": "Previous" }, "↑"), element("button", { type: "button", onclick: () => this.step(1), "aria-label": "Next" }, "↓"), element("label", {}, this.following, "follow"), element("a", { href: `${base}/log`, target: "_blank" }, "raw"));
    this.load();
  }

  // All that there is, in pieces: a byte is asked for once.
  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      for (;;) {
        const response = await fetch(`${this.base}/log?offset=${this.bytes ?? 0}`);
        const piece = new Uint8Array(await response.arrayBuffer());
        if (!response.ok || !piece.length) break;
        this.decoder ??= new TextDecoder();
        this.text = (this.bytes ? this.text : "") + this.decoder.decode(piece, { stream: true });
        this.bytes = (this.bytes ?? 0) + piece.length;
        this.show();
        if (piece.length < 1 << 20) break;
      }
    } finally {
      this.loading = false;
    }
  }

  show() {
    const wanted = this.search.value.toLowerCase();
    const shown = inert(this.text).replaceAll("U+000D", "").replaceAll(/U\+001B\[[0-9;]*m/g, "");
    if (!wanted) {
      this.hits = [];
      this.output.textContent = shown;
      this.found.textContent = "";
    } else {
      const pieces = [];
      const low = shown.toLowerCase();
      let from = 0;
      this.hits = [];
      for (let at = low.indexOf(wanted); at >= 0 && this.hits.length < 5000; at = low.indexOf(wanted, from)) {
        const hit = element("mark", {}, shown.slice(at, at + wanted.length));
        pieces.push(shown.slice(from, at), hit);
        this.hits.push(hit);
        from = at + wanted.length;
      }
      this.output.replaceChildren(...pieces, shown.slice(from));
      this.at = -1;
      this.step(1);
    }
    if (this.following.checked && !wanted) this.output.scrollTop = this.output.scrollHeight;
  }

  step(by) {
    this.hits[this.at]?.classList.remove("now");
    if (!this.hits.length) return void (this.found.textContent = this.search.value ? "not found" : "");
    this.at = (this.at + by + this.hits.length) % this.hits.length;
    this.hits[this.at].classList.add("now");
    this.hits[this.at].scrollIntoView({ block: "nearest" });
    this.found.textContent = `${this.at + 1} of ${this.hits.length}`;
  }
}

async function metrics(base, objective) {
  const series = await get(`${base}/series.json`);
  const names = Object.keys(series).sort((a, b) => Number(b === objective) - Number(a === objective) || a.localeCompare(b));
  const place = (folder, name) => [...folder.children].find((known) => known.dataset.name === name) ?? folder.appendChild(element("div", { "data-name": name, role: "img", "aria-label": inert(name) }));
  const [own, system] = [names.filter((name) => !name.startsWith("system/")), names.filter((name) => name.startsWith("system/"))];
  byId("system").hidden = system.length === 0;
  for (const name of own.slice(0, CHARTS_MAX)) whenSeen(place(byId("metrics-plot"), name), () => charts.metric(place(byId("metrics-plot"), name), name, series[name]));
  for (const name of system.slice(0, CHARTS_MAX)) whenSeen(place(byId("system-plot"), name), () => charts.overTime(place(byId("system-plot"), name), name.slice(7), series[name]));
}

async function notes(place, sweep, run) {
  const known = (await call("GetRun", { sweep_id: sweep, run })).run;
  if (known.tags === undefined) return;
  const pin = element("button", { type: "button" }, known.pinned ? "★ pinned" : "☆ pin");
  pin.onclick = async () => {
    if (!(await actions.annotate(sweep, run, { pinned: !known.pinned }))) return;
    known.pinned = !known.pinned;
    pin.textContent = known.pinned ? "★ pinned" : "☆ pin";
  };
  const note = element("input", { value: known.note, placeholder: "note", "aria-label": "Note", size: 30 });
  note.onchange = () => actions.annotate(sweep, run, { note: note.value });
  const tags = element("input", { value: known.tags.join(" "), placeholder: "tags", "aria-label": "Tags, separated by spaces", size: 16 });
  tags.onchange = async () => {
    const wanted = tags.value.split(/\s+/).filter(Boolean);
    const change = { add_tags: wanted.filter((tag) => !known.tags.includes(tag)), remove_tags: known.tags.filter((tag) => !wanted.includes(tag)) };
    if (await actions.annotate(sweep, run, change)) known.tags = wanted;
  };
  place.append(pin, tags, note);
}

function buttons(sweep, run, refresh) {
  const state = document.querySelector("h1 .state").textContent;
  const made = [];
  if (["failed", "cancelled", "finished", "stopped"].includes(state)) made.push(element("button", { type: "button", onclick: () => actions.confirm(`Retry run ${run}`, "The run is executed again, with the same parameters.", "Retry", async () => (await actions.retry(sweep, [run])) && (refresh(), true)) }, "Retry"));
  if (["running", "assigned", "queued"].includes(state)) made.push(element("button", { type: "button", onclick: () => actions.confirm(`Cancel run ${run}`, "What runs is killed; the run ends as cancelled.", "Cancel run", async () => (await actions.cancel(sweep, run)) && (refresh(), true)) }, "Cancel run"));
  return made;
}

export async function start(refresh) {
  const { sweep, run, metric, code: version, best, bestCode } = byId("run").dataset;
  const base = `/sweeps/${sweep}/runs/${run}`;
  const notesPlace = element("span", { class: "row" });
  const enhance = () => byId("actions").replaceChildren(...buttons(sweep, Number(run), refresh), notesPlace);
  enhance();
  document.addEventListener("refreshed", enhance);
  const log = new Log(base, byId("output"), byId("log-tools"));
  await metrics(base, metric).catch((error) => console.error(error));
  notes(notesPlace, sweep, Number(run)).catch((error) => console.error(error));

  const diff = byId("code-diff");
  const choices = element("div", { class: "row" });
  diff.before(choices);
  if (version) {
    choices.append(element("button", { type: "button", onclick: () => code.uncommitted(diff, sweep, version, "What was not committed") }, "Diff to the commit"));
    if (best && best !== run && bestCode && bestCode !== version) {
      const show = () => code.between(diff, sweep, bestCode, version, `From the code of the best run, ${best}, to this one`);
      choices.append(element("button", { type: "button", onclick: show }, "Diff to the best run"));
      whenSeen(diff, show);
    } else if (best && best !== run) choices.append(element("span", { class: "soft" }, "The same code as the best run."));
  }
  const news = later(300, () => {
    refresh();
    log.load();
    metrics(base, metric);
  });
  live(`sweep=${encodeURIComponent(sweep)}&run=${run}`, { news });
  document.addEventListener("theme", () => metrics(base, metric));
  document.body.dataset.ready = "yes";
}

export async function compare() {
  const { sweep, runs, metric, codes } = byId("compare").dataset;
  const numbers = runs.split(",").filter(Boolean);
  if (metric && numbers.length) {
    byId("curves").hidden = false;
    await overlay(byId("curves-plot"), sweep, metric, numbers);
  }
  // Each version with the first run that had it.
  const firsts = new Map();
  codes.split(",").forEach((version, index) => version && !firsts.has(version) && firsts.set(version, numbers[index]));
  const versions = [...firsts];
  byId("code").hidden = versions.length < 2;
  for (const [index, [version, run]] of versions.slice(1).entries()) {
    const [before, earlier] = versions[index];
    await code.between(byId("code-diff").appendChild(element("div")), sweep, before, version, `From the code of run ${earlier} to that of run ${run}`);
  }
  document.body.dataset.ready = "yes";
}
