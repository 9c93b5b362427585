// What ran where and when: a lane for each slot of each agent, on a canvas, since there may be thousands of attempts.

import { color, duration, element, inert, number } from "./format.js";

const LANE = 18;
const GAP = 10;
const LEFT = 130;
const AXIS = 26;

const COLORS = { finished: "good", stopped: "warn", failed: "bad", lost: "bad", cancelled: "soft", preempted: "warn", returned: "soft", running: "accent", assigned: "accent" };

// Puts attempts that overlap into their own lanes.
function lanes(attempts) {
  const ends = [];
  for (const attempt of attempts.sort((a, b) => a.from - b.from)) {
    let lane = ends.findIndex((end) => end <= attempt.from);
    if (lane < 0) lane = ends.length;
    ends[lane] = attempt.to;
    attempt.lane = lane;
  }
  return ends.length;
}

export class Timeline {
  constructor(place, selection) {
    Object.assign(this, { place, selection });
    this.canvas = place.appendChild(element("canvas", { role: "img", "aria-label": "What each agent ran and when; the table below has the agents, that of the runs their times" }));
    this.tip = place.appendChild(element("div", { class: "tip", hidden: true }));
    place.addEventListener("pointermove", (event) => this.point(event));
    place.addEventListener("pointerleave", () => (this.tip.hidden = true));
    place.addEventListener("click", (event) => {
      const found = this.at(event);
      if (found) location.href = `/sweeps/${selection.sweep.id}/runs/${found.run.run}`;
    });
    new ResizeObserver(() => this.show()).observe(place);
    document.addEventListener("theme", () => this.show());
    this.show();
  }

  collect() {
    const now = Date.now();
    const agents = new Map(this.selection.agents.map((agent) => [agent.id, { agent, attempts: [] }]));
    for (const run of this.selection.runs) {
      for (const [id, state, assigned, started, ended] of run.tries ?? []) {
        if (!id || !assigned) continue;
        if (!agents.has(id)) agents.set(id, { agent: { id, host: id, slots: 1 }, attempts: [] });
        agents.get(id).attempts.push({ run, state, from: started || assigned, to: ended || now, open: !ended });
      }
    }
    const rows = [...agents.values()].filter(({ agent, attempts }) => attempts.length || agent.alive);
    for (const row of rows) row.stays = (row.agent.stays ?? []).map(([from, until]) => ({ from, to: until || (row.agent.alive ? now : from) }));
    rows.sort((a, b) => a.agent.host.localeCompare(b.agent.host) || a.agent.id.localeCompare(b.agent.id));
    let top = AXIS;
    for (const row of rows) {
      row.lanes = Math.max(lanes(row.attempts), row.agent.alive ? row.agent.slots : 0, 1);
      row.top = top;
      top += row.lanes * LANE + GAP;
    }
    return { rows, height: top };
  }

  show() {
    const { width } = this.place.getBoundingClientRect();
    if (!width) return;
    const { rows, height } = this.collect();
    this.place.style.height = `${Math.max(50, Math.min(height, 520))}px`;
    this.place.style.minHeight = "0";
    this.place.style.overflowY = "auto";
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px`, display: "block" });
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    // Not spread: there may be more attempts than a call takes arguments.
    this.from = rows.flatMap((row) => row.attempts).reduce((least, { from }) => Math.min(least, from), Date.now());
    this.to = rows.flatMap((row) => [...row.attempts, ...row.stays]).reduce((most, { to }) => Math.max(most, to), this.from + 1000);
    this.scale = (width - LEFT - 12) / (this.to - this.from);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    this.axis(context, width, height);
    this.rows = rows;
    for (const row of rows) this.row(context, row, width);
  }

  axis(context, width, height) {
    const span = this.to - this.from;
    const steps = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 604800].map((seconds) => 1000 * seconds);
    const step = steps.find((size) => size >= span / 8) ?? span / 8;
    context.textAlign = "center";
    for (let at = 0; at <= span; at += step) {
      const x = LEFT + at * this.scale;
      context.strokeStyle = color("faint");
      context.beginPath();
      context.moveTo(x, AXIS - 4);
      context.lineTo(x, height);
      context.stroke();
      context.fillStyle = color("soft");
      context.fillText(duration(at).replace(" 0 s", "").replace(".0 s", " s"), x, 12);
    }
  }

  row(context, row, width) {
    const { agent, attempts } = row;
    const quarantined = agent.health === "quarantined" || agent.health === "probing";
    context.fillStyle = color(quarantined ? "bad" : agent.alive ? "text" : "soft");
    context.textAlign = "left";
    const name = inert(agent.host);
    context.fillText((quarantined ? "⚠ " : "") + (name.length > 17 ? `${name.slice(0, 16)}…` : name), 8, row.top + LANE / 2);
    for (let lane = 0; lane < row.lanes; lane += 1) {
      context.fillStyle = color("faint");
      context.fillRect(LEFT, row.top + lane * LANE + 2, width - LEFT - 12, LANE - 4);
    }
    for (const attempt of attempts) {
      const x = LEFT + (attempt.from - this.from) * this.scale;
      const wide = Math.max(1.5, (attempt.to - attempt.from) * this.scale - 0.5);
      context.globalAlpha = this.selection.isVisible(attempt.run.run) ? 0.9 : 0.18;
      context.fillStyle = color(COLORS[attempt.state] ?? "soft");
      context.fillRect(x, row.top + attempt.lane * LANE + 2, wide, LANE - 4);
      if (wide > 26) {
        context.fillStyle = color("card");
        context.fillText(String(attempt.run.run), x + 4, row.top + attempt.lane * LANE + LANE / 2);
      }
    }
    context.globalAlpha = 1;
    for (const stay of row.stays) this.stay(context, row, stay);
  }

  // A stay in quarantine: a frame around all lanes, with its word where there is room.
  stay(context, row, { from, to }) {
    const [x, wide] = [LEFT + (from - this.from) * this.scale, Math.max(3, (to - from) * this.scale)];
    context.strokeStyle = context.fillStyle = color("bad");
    context.globalAlpha = 0.12;
    context.fillRect(x, row.top, wide, row.lanes * LANE);
    context.globalAlpha = 1;
    context.setLineDash([4, 3]);
    context.strokeRect(x + 0.5, row.top + 0.5, wide - 1, row.lanes * LANE - 1);
    context.setLineDash([]);
    const free = !row.attempts.some((attempt) => attempt.lane === 0 && attempt.to > from && attempt.from < from + 90 / this.scale);
    if (wide > 90 && free) context.fillText("quarantined", x + 6, row.top + LANE / 2);
  }

  // The agent and the moment under the mouse, and how far down in the agent's row it is.
  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const row = this.rows?.find((known) => y >= known.top && y < known.top + known.lanes * LANE);
    return row ? { row, lane: Math.floor((y - row.top) / LANE), time: this.from + (x - LEFT) / this.scale } : null;
  }

  stayAt(event) {
    const { row, time } = this.under(event) ?? {};
    const stay = row?.stays.find(({ from, to }) => time >= from && time <= to);
    return stay ? { ...stay, reason: stay === row.stays.at(-1) ? row.agent.reason : "" } : null;
  }

  at(event) {
    const found = this.under(event);
    if (!found) return null;
    const { row, lane, time } = found;
    const slack = 2 / this.scale;
    return row.attempts.find((attempt) => attempt.lane === lane && time >= attempt.from - slack && time <= attempt.to + slack) ?? null;
  }

  point(event) {
    const found = this.at(event);
    const stay = found ? null : this.stayAt(event);
    this.tip.hidden = !found && !stay;
    if (this.tip.hidden) return;
    const { run, state, from, to } = found ?? stay;
    const lines = found
      ? [`run ${run.run}: ${state}`, duration(to - from), run.value === undefined ? run.failure || "" : `${this.selection.sweep.metric} ${number(run.value)}`]
      : ["quarantined", duration(to - from), stay.reason];
    this.tip.textContent = lines.filter(Boolean).map(inert).join("\n");
    const box = this.place.getBoundingClientRect();
    this.tip.style.left = `${Math.min(event.clientX - box.left + 12, box.width - 200)}px`;
    this.tip.style.top = `${event.clientY - box.top + this.place.scrollTop + 12}px`;
  }
}
