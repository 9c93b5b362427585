// The page of one sweep: everything on it follows one selection of runs.

import * as actions from "./actions.js";
import * as agents from "./agents.js";
import { call, get, live } from "./api.js";
import * as charts from "./charts.js";
import * as code from "./code.js";
import { Curves } from "./curves.js";
import { learnt } from "./findings.js";
import { atLast, later, painted, turn } from "./format.js";
import { Parallel } from "./parallel.js";
import { whenSeen } from "./plotly.js";
import { Selection } from "./selection.js";
import { Sliders } from "./sliders.js";
import { Surrogate } from "./surrogate.js";
import { Table } from "./table.js";
import { Timeline } from "./timeline.js";

const byId = (id) => document.getElementById(id);

// Draws a part, or says in its place why not.
function part(id, make) {
  byId(id).hidden = false;
  const place = byId(`${id}-plot`);
  whenSeen(place, () =>
    Promise.resolve().then(() => make(place, byId(`${id}-tools`))).catch((error) => {
      console.error(error);
      place.textContent = error.message;
    }),
  );
}

export async function start(refresh) {
  const { sweep: id } = byId("sweep").dataset;
  const data = await get(`/sweeps/${id}/data.json`);
  const selection = new Selection(data);
  const query = new URLSearchParams(location.search);

  const parts = {};
  const act = {
    retry: (runs) => actions.retry(id, runs),
    pin: async (run) => {
      if (!(await actions.annotate(id, run.run, { pinned: !run.pinned }))) return;
      run.pinned = !run.pinned;
      parts.table.refresh();
    },
  };
  parts.table = new Table(byId("table"), byId("runs-tools"), selection, act);
  for (const shown of ["parallel", "history", "curves", "timeline-plot"]) byId(shown).hidden = false;
  parts.parallel = new Parallel(byId("parallel-plot"), byId("parallel-tools"), selection);
  whenSeen(byId("timeline-plot"), () => (parts.timeline = new Timeline(byId("timeline-plot"), selection)));
  parts.sliders = new Sliders(byId("sliders"), byId("sliders-plot"), selection);

  const enhance = () => {
    actions.ofSweep(byId("actions"), selection, () => byId("yaml").textContent);
    agents.buttons(refresh);
    code.buttons(id, byId("code-diff"));
    fade();
  };
  const fade = () => {
    for (const group of document.querySelectorAll(".failure[data-runs]")) {
      const chosen = group.dataset.runs.split(",").filter((run) => selection.isVisible(Number(run))).length;
      group.toggleAttribute("data-faded", chosen === 0);
      group.querySelector(".count").textContent = chosen === group.dataset.runs.split(",").length ? String(chosen) : `${chosen} of ${group.dataset.runs.split(",").length}`;
    }
  };
  enhance();
  document.addEventListener("refreshed", enhance);

  const status = () => {
    const words = [...parts.parallel.words(), ...(selection.filter ? [selection.filter] : [])];
    const best = selection.best();
    byId("selection").textContent = words.length
      ? `${selection.chosen} of ${selection.runs.length} runs: ${words.join("; ")}${best ? `. Best of them: run ${best.run}` : ""}`
      : selection.runs.length
        ? "Drag along an axis to choose runs; everything on this page follows. A click on a line opens its run."
        : "No run has begun yet.";
  };
  const address = later(300, () => {
    const url = new URL(location);
    if (selection.filter) url.searchParams.set("q", selection.filter);
    else url.searchParams.delete("q");
    window.history.replaceState(null, "", url);
  });
  const follow = later(200, () => {
    status();
    fade();
    parts.timeline?.show();
  });
  // The charts of the library take longer: when the hand has come to rest.
  const chart = later(500, async () => {
    await parts.history?.show();
    await turn();
    parts.curves?.show();
  });
  selection.addEventListener("chosen", () => {
    follow();
    chart();
    address();
  });
  status();
  if (query.get("q")) parts.table.text = query.get("q");

  const redraw = () => {
    parts.history?.show();
    if (parts.importance) charts.importance(parts.importance, analysis.effects);
  };
  document.addEventListener("theme", redraw);

  let analysis = null;
  const analyze = async () => {
    analysis = await call("AnalyzeSweep", { sweep_id: id }).catch((error) => ({ effects: [], agreements: [], observations: 0, failing: "", error }));
    learnt(byId("learnt"), selection, analysis);
    if (!byId("importance").hidden || !analysis.effects.length) return;
    part("importance", (place) => charts.importance((parts.importance = place), analysis.effects));
    part("slices", (place, tools) => (parts.surrogate = new Surrogate(place, tools, selection, [...analysis.effects].sort((a, b) => b.share - a.share))));
  };

  // Results change what the search has learnt, but asking costs the controller something: seldom, and only while somebody looks.
  let seen = data.sweep.finished + data.sweep.stopped + data.sweep.failed;
  let waiting = 0;
  const ended = () => selection.sweep.finished + selection.sweep.stopped + selection.sweep.failed;
  const refreshFindings = async () => {
    clearTimeout(waiting);
    waiting = 0;
    if (document.hidden || ended() === seen) return;
    seen = ended();
    await analyze();
    redraw();
    parts.surrogate?.reset();
  };
  // A few results may wait while more come, but none is left out for ever.
  // News that keep coming do not put it off.
  const relearn = atLast(4000, () => {
    const few = ended() < seen + Math.max(3, 0.05 * seen) && selection.sweep.state === "running";
    if (!few) return refreshFindings();
    if (!waiting && ended() !== seen) waiting = setTimeout(refreshFindings, 20000);
  });
  document.addEventListener("visibilitychange", relearn);
  const news = later(400, () => {
    redraw();
    if (analysis) learnt(byId("learnt"), selection, analysis);
    parts.timeline?.show();
    parts.table.refresh();
    status();
  });
  live(`sweep=${encodeURIComponent(id)}`, {
    news: ({ sweep, runs, agents: machines, reload }) => {
      if (reload) return location.reload();
      const same = JSON.stringify(sweep) === JSON.stringify(selection.sweep);
      const fresh = runs.filter((run) => JSON.stringify(run) !== JSON.stringify(selection.runs[selection.place.get(run.run)]));
      if (same && !fresh.length && JSON.stringify(machines) === JSON.stringify(selection.agents)) return;
      selection.merge(sweep, fresh, machines);
      news();
      relearn();
      refresh();
    },
  });

  // What needs the large library, or an answer that is computed, comes when everything else is there to be used.
  await painted();
  document.body.dataset.usable = performance.now().toFixed(0);
  part("history", (place, tools) => (parts.history = new charts.History(place, tools, selection)));
  part("curves", (place, tools) => (parts.curves = new Curves(place, tools, selection)));
  await analyze();
  document.body.dataset.ready = "yes";
}
