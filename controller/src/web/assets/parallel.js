// Parallel coordinates on our own canvases: plotly's need WebGL, which machines without a graphics card draw slowly, and cannot be brushed from the keyboard.
//
// Every run is a line through its parameters to its objective. Runs are drawn once, faintly; those that are chosen are drawn above them, batched by
// colour. Of many, a brush shows evenly chosen ones at once and the rest when it rests, a part in each frame: the hand never waits for the picture.

import { bulk, choice, color, element, inert, label, later, nextFrame, number } from "./format.js";
import { colorAt } from "./plotly.js";

const TOP = 34;
const BOTTOM = 30;
const SIDE = 70;
// On a phone, where axes are close: their names take turns on two rows.
const SIDE_NARROW = 50;
const GAP_NARROW = 90;
const ROW_HEIGHT = 15;
const COLORS = 24;
const AXES_MAX = 12;
// Lines that are drawn in one frame.
const AT_ONCE = 600;
// Lines behind the chosen ones: more of them are one grey surface.
const BACK_MAX = 2000;
const REST_MS = 200;
const OBJECTIVE = "\u0000objective";

// A number beside an axis: there is room for few digits.
const short = (value) => (Math.abs(value) >= 1e6 ? Number(value.toPrecision(3)).toExponential().replace("e+", "e") : number(value));

// Maps the values of one axis to places between 0 (below) and 1 (above).
class Scale {
  constructor(axis, values) {
    this.name = axis.name;
    this.key = axis.key ?? axis.name;
    const numbers = values.filter((value) => typeof value === "number");
    const words = values.some((value) => value !== undefined && typeof value !== "number");
    const listed = axis.values?.length ? axis.values : null;
    if (words || (listed && listed.length <= 24)) {
      const all = new Map();
      for (const value of [...(listed ?? []), ...values]) if (value !== undefined) all.set(label(value), value);
      this.words = [...all.keys()];
      if (!words && listed) this.words.sort((a, b) => all.get(a) - all.get(b));
      this.index = new Map(this.words.map((word, index) => [word, index]));
      return;
    }
    // Not spread: there may be ten thousand.
    let [low, high] = axis.range ?? [Infinity, -Infinity];
    for (const value of numbers) if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
    // Values beyond these lie at the end of the axis.
    if (axis.usual) [low, high] = [Math.max(low, axis.usual[0]), Math.min(high, axis.usual[1])];
    this.clipped = Boolean(axis.usual);
    if (!(high > low)) [low, high] = Number.isFinite(low) ? [low - 0.5, low + 0.5] : [0, 1];
    this.log = Boolean(axis.log) && low > 0;
    this.canLog = low > 0;
    [this.low, this.high] = [low, high];
  }

  place(value) {
    if (value === undefined || value === null) return undefined;
    if (this.words) return (this.index.get(label(value)) + 0.5) / this.words.length;
    if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
    const at = this.log ? Math.log(value / this.low) / Math.log(this.high / this.low) : (value - this.low) / (this.high - this.low);
    return this.clipped ? Math.min(1, Math.max(0, at)) : at;
  }

  value(place) {
    return this.log ? this.low * (this.high / this.low) ** place : this.low + place * (this.high - this.low);
  }

  ticks() {
    if (this.words) return this.words.map((word, index) => [(index + 0.5) / this.words.length, word]);
    if (this.log) {
      const [from, to] = [Math.ceil(Math.log10(this.low) - 1e-9), Math.floor(Math.log10(this.high) + 1e-9)];
      const step = Math.max(1, Math.ceil((to - from) / 6));
      const powers = [];
      for (let power = from; power <= to; power += step) powers.push([this.place(10 ** power), short(10 ** power)]);
      return powers.length > 1 ? powers : [[0, short(this.low)], [1, short(this.high)]];
    }
    const rough = (this.high - this.low) / 5;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= rough);
    const found = [];
    for (let at = Math.ceil(this.low / step - 1e-9) * step; at <= this.high + step * 1e-9; at += step) found.push([this.place(at), short(Math.abs(at) < step * 1e-9 ? 0 : at)]);
    return found;
  }

  range([low, high]) {
    const end = (place) => (this.clipped && place <= 0 ? "less" : this.clipped && place >= 1 ? "more" : number(this.value(place)));
    if (!this.words) return `${end(low)} to ${end(high)}`;
    return this.words.filter((_, index) => (index + 0.5) / this.words.length >= low && (index + 0.5) / this.words.length <= high).join(", ");
  }
}

// Of many, evenly chosen ones: the last, which lies above all, is among them.
function evenly(list, max) {
  if (list.length <= max) return list;
  return Array.from({ length: max }, (_, index) => list[Math.floor(((index + 1) * list.length) / max) - 1]);
}

export class Parallel {
  constructor(place, tools, selection) {
    Object.assign(this, { place, selection, brushes: new Map(), logs: new Map(), drag: null });
    place.classList.add("parallel");
    [this.back, this.front, this.over] = ["back", "front", "over"].map((name) => place.appendChild(element("canvas", { "data-layer": name, "aria-hidden": "true" })));
    this.tip = place.appendChild(element("div", { class: "tip", hidden: true }));
    this.names = place.appendChild(element("div"));
    const candidates = this.candidates();
    this.shown = new Set(candidates.filter((axis) => axis.varied).slice(0, AXES_MAX).map((axis) => axis.key));
    tools.append(
      element("button", { type: "button", onclick: () => this.clear() }, "Clear brushes"),
      choice("Axes", candidates.map((axis) => ({ key: axis.key, name: axis.name })), this.shown, () => this.build()),
    );
    place.addEventListener("pointerdown", (event) => this.press(event));
    place.addEventListener("pointermove", (event) => this.move(event));
    place.addEventListener("pointerup", (event) => this.release(event));
    place.addEventListener("pointerleave", () => this.point(null));
    this.rest = later(REST_MS, () => this.complete());
    // The first call of the observer comes at once, and is for the size that there was when it began.
    new ResizeObserver(() => {
      const { width, height } = place.getBoundingClientRect();
      if (width !== this.width || height !== this.height) this.layout();
    }).observe(place);
    selection.addEventListener("chosen", nextFrame(() => (this.counted === selection.runs.length ? this.drawFront() : this.build())));
    document.addEventListener("theme", () => this.layout());
    this.build();
  }

  candidates() {
    const { axes, runs, sweep } = this.selection;
    const of = (axis) => {
      const read = (run) => run.params[axis.name];
      const first = runs.length ? JSON.stringify(read(runs[0])) : undefined;
      return { ...axis, key: axis.name, read, varied: !axis.constant && (runs.length < 2 || runs.some((run) => JSON.stringify(read(run)) !== first)) };
    };
    const metrics = new Set();
    for (const run of runs.slice(-500)) for (const name of Object.keys(run.metrics ?? {})) if (name !== sweep.metric && !name.startsWith("system/")) metrics.add(name);
    const metric = (name) => ({ name, key: `metric ${name}`, read: (run) => run.metrics?.[name], varied: false });
    return [...axes.map(of), ...[...metrics].sort().map(metric)];
  }

  build() {
    const { runs, sweep } = this.selection;
    const wanted = this.candidates().filter((axis) => this.shown.has(axis.key));
    const objective = { name: sweep.metric || "value", key: OBJECTIVE, read: (run) => run.value };
    this.axes = [...wanted, objective].map((axis) => {
      const values = runs.map(axis.read);
      const log = this.logs.get(axis.key) ?? axis.log;
      // Diverged runs must not press all others together.
      const usual = axis.key === OBJECTIVE && !log ? bulk(values, this.selection.sign) : undefined;
      const scale = new Scale({ ...axis, log, usual }, values);
      return { ...axis, scale };
    });
    for (const key of this.brushes.keys()) if (!this.axes.some((axis) => axis.key === key)) this.brush(key, null);
    // The colours follow ranks: one terrible run would make all others look alike.
    const values = runs.map((run) => run.value).filter((value) => Number.isFinite(value)).sort((a, b) => this.selection.sign * (a - b));
    this.rank = new Map();
    values.forEach((value, index) => this.rank.has(value) || this.rank.set(value, index / Math.max(1, values.length - 1)));
    this.counted = runs.length;
    this.layout();
  }

  layout() {
    const { width, height } = this.place.getBoundingClientRect();
    if (!width || !this.axes) return;
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.back, this.front, this.over]) {
      Object.assign(canvas, { width: width * ratio, height: height * ratio });
      Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    [this.width, this.height] = [width, height];
    const side = width < 520 ? SIDE_NARROW : SIDE;
    const gap = (width - 2 * side) / Math.max(1, this.axes.length - 1);
    this.axes.forEach((axis, index) => (axis.x = this.axes.length === 1 ? width / 2 : side + index * gap));
    [this.gap, this.side] = [gap, side];
    this.lines = new Float32Array(this.selection.runs.length * this.axes.length).fill(NaN);
    this.selection.runs.forEach((run, row) => {
      this.axes.forEach((axis, index) => {
        const at = axis.scale.place(axis.read(run));
        // What a run has not, it has below the axis.
        this.lines[row * this.axes.length + index] = at === undefined ? this.height - 8 : this.y(at);
      });
    });
    this.label();
    this.drawBack();
    this.drawFront();
    this.drawOver();
  }

  y(place) {
    return this.height - BOTTOM - place * (this.height - TOP - BOTTOM);
  }

  // Axes have names that can be focused: arrows move the range, with shift its upper end, Escape clears it.
  label() {
    // New runs rebuild the names: the focus stays on the same name.
    const focused = [...this.names.children].find((name) => name === document.activeElement)?.dataset.key;
    this.names.replaceChildren(
      ...this.axes.map((axis, index) => {
        const narrow = this.gap < GAP_NARROW;
        const room = Math.min(narrow ? 2 * this.gap : this.gap, 2 * Math.min(axis.x, this.width - axis.x) || Infinity) - 4;
        const name = element("button", { type: "button", "data-key": axis.key, class: `axis${axis.scale.log ? " log" : ""}`, style: `left:${axis.x}px;max-width:${this.axes.length === 1 ? this.width : room}px;top:${narrow && index % 2 ? 2 + ROW_HEIGHT : 2}px`, title: `${inert(axis.name)}: drag along the axis to choose; arrow keys move the range, with Shift its upper end, Escape clears, L changes between linear and logarithmic` }, axis.name);
        name.addEventListener("pointerdown", (event) => event.stopPropagation());
        name.addEventListener("dblclick", () => this.toggleLog(axis));
        name.addEventListener("keydown", (event) => this.key(event, axis));
        return name;
      }),
    );
    if (focused !== undefined) [...this.names.children].find((name) => name.dataset.key === focused)?.focus();
  }

  key(event, axis) {
    const [low, high] = this.brushes.get(axis.key) ?? [0, 1];
    const step = axis.scale.words ? 1 / axis.scale.words.length : 0.05;
    const moves = { ArrowUp: event.shiftKey ? [0, step] : [step, 0], ArrowDown: event.shiftKey ? [0, -step] : [-step, 0] };
    if (event.key === "Escape") this.brush(axis.key, null);
    else if (event.key === "l" || event.key === "L") return this.toggleLog(axis);
    else if (moves[event.key]) this.brush(axis.key, [Math.min(1, Math.max(0, low + moves[event.key][0])), Math.min(1, Math.max(0, high + moves[event.key][1]))]);
    else return;
    event.preventDefault();
  }

  toggleLog(axis) {
    if (!axis.scale.canLog) return;
    this.logs.set(axis.key, !axis.scale.log);
    this.brush(axis.key, null);
    this.build();
  }

  brush(key, range) {
    const axis = this.axes.find((known) => known.key === key);
    if (!range || !axis || range[0] > range[1]) {
      this.brushes.delete(key);
      this.selection.brush(key, null);
    } else {
      this.brushes.set(key, range);
      const [low, high] = [range[0] - 1e-9, range[1] + 1e-9];
      this.selection.brush(key, (run) => {
        const at = axis.scale.place(axis.read(run));
        return at !== undefined && at >= low && at <= high;
      });
    }
    this.drawOver();
    this.place.dispatchEvent(new Event("brushed"));
  }

  clear() {
    for (const key of [...this.brushes.keys()]) this.brush(key, null);
  }

  // What is chosen by brushes, in words.
  words() {
    return [...this.brushes].map(([key, range]) => {
      const axis = this.axes.find((known) => known.key === key);
      return axis ? `${inert(axis.name)} ${axis.scale.range(range)}` : "";
    });
  }

  near(event) {
    const box = this.place.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const axis = this.axes.reduce((best, known) => (Math.abs(known.x - x) < Math.abs(best.x - x) ? known : best));
    const place = (this.height - BOTTOM - y) / (this.height - TOP - BOTTOM);
    return { x, y, axis, distance: Math.abs(axis.x - x), place: Math.min(1, Math.max(0, place)) };
  }

  press(event) {
    const at = this.near(event);
    if (event.button !== 0 || at.distance > 22) return;
    this.place.setPointerCapture(event.pointerId);
    this.drag = { axis: at.axis, from: at.place, moved: false };
    event.preventDefault();
  }

  move(event) {
    const at = this.near(event);
    this.place.style.cursor = at.distance <= 22 ? "ns-resize" : "";
    if (!this.drag) return this.point(at);
    if (Math.abs(at.place - this.drag.from) > 0.01) this.drag.moved = true;
    if (this.drag.moved) this.brush(this.drag.axis.key, [Math.min(at.place, this.drag.from), Math.max(at.place, this.drag.from)]);
  }

  release(event) {
    if (!this.drag) {
      const run = this.pointed;
      if (run) location.href = `/sweeps/${this.selection.sweep.id}/runs/${run.run}`;
      return;
    }
    if (!this.drag.moved) this.brush(this.drag.axis.key, null);
    this.drag = null;
    this.place.releasePointerCapture(event.pointerId);
  }

  // Shows the chosen run whose line passes nearest.
  point(at) {
    const { runs, mask } = this.selection;
    let [best, nearest] = [null, 7];
    if (at && this.axes.length > 1) {
      const right = Math.max(1, this.axes.findIndex((axis) => axis.x >= at.x));
      const [from, to] = [this.axes[right - 1], this.axes[right] ?? this.axes[right - 1]];
      const part = to === from ? 0 : (at.x - from.x) / (to.x - from.x);
      const count = this.axes.length;
      for (let row = 0; row < mask.length; row += 1) {
        if (!mask[row]) continue;
        const y = this.lines[row * count + right - 1] * (1 - part) + this.lines[row * count + right] * part;
        if (Math.abs(y - at.y) < nearest) [best, nearest] = [runs[row], Math.abs(y - at.y)];
      }
    }
    if (best === this.pointed) return;
    this.pointed = best;
    this.tip.hidden = !best;
    if (best) {
      const lines = this.axes.map((axis) => `${inert(axis.name)} = ${label(axis.read(best)) || "–"}`);
      this.tip.textContent = [`run ${best.run}: ${best.state}`, ...lines].join("\n");
      this.tip.style.left = `${Math.min(at.x + 14, this.width - 230)}px`;
      this.tip.style.top = `${Math.min(at.y + 14, this.height - 40 - 18 * lines.length)}px`;
    }
    this.drawOver();
  }

  trace(context, row) {
    const count = this.axes.length;
    context.moveTo(this.axes[0].x, this.lines[row * count]);
    for (let index = 1; index < count; index += 1) context.lineTo(this.axes[index].x, this.lines[row * count + index]);
  }

  drawBack() {
    const context = this.back.getContext("2d");
    const rows = evenly([...this.selection.runs.keys()], BACK_MAX);
    context.clearRect(0, 0, this.width, this.height);
    context.strokeStyle = color("line");
    context.globalAlpha = Math.max(0.06, Math.min(0.5, 60 / rows.length));
    context.beginPath();
    for (const row of rows) this.trace(context, row);
    context.stroke();
  }

  // The chosen runs, worst first: runs without a value lie below, the best above all.
  order() {
    const { runs, mask } = this.selection;
    const batches = Array.from({ length: COLORS + 1 }, () => []);
    for (let row = 0; row < runs.length; row += 1) {
      if (!mask[row]) continue;
      const rank = this.rank.get(runs[row].value);
      // What has not ended is drawn in the background alone.
      if (rank === undefined && ["queued", "assigned", "running"].includes(runs[row].state)) continue;
      batches[rank === undefined ? 0 : COLORS - Math.floor(rank * (COLORS - 1))].push(row);
    }
    return batches.flatMap((rows, batch) => rows.map((row) => [row, batch]));
  }

  // Draws lines above each other, those of one colour together.
  strokes(context, lines, count) {
    context.globalAlpha = Math.max(0.12, Math.min(0.85, 300 / Math.max(1, count)));
    context.lineWidth = count < 200 ? 1.5 : 1;
    for (let from = 0; from < lines.length;) {
      const batch = lines[from][1];
      context.strokeStyle = batch === 0 ? color("bad") : colorAt((COLORS - batch) / (COLORS - 1));
      context.setLineDash(batch === 0 ? [3, 3] : []);
      context.beginPath();
      for (; from < lines.length && lines[from][1] === batch; from += 1) this.trace(context, lines[from][0]);
      context.stroke();
    }
  }

  drawFront() {
    const started = performance.now();
    const lines = this.order();
    const some = evenly(lines, AT_ONCE);
    const context = this.front.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    this.strokes(context, some, some.length);
    this.missing = some.length < lines.length ? lines : null;
    if (this.missing) this.rest();
    // For the measurements in the tests.
    this.place.dataset.drawn = (performance.now() - started).toFixed(1);
  }

  // Draws all the chosen runs out of sight, a part in each frame, and shows them when they are whole. A new brush ends it.
  complete() {
    const lines = this.missing;
    if (!lines) return;
    const { width, height } = this.front;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    context.setTransform(this.front.getContext("2d").getTransform());
    let drawn = 0;
    const part = () => {
      if (this.missing !== lines) return;
      this.strokes(context, lines.slice(drawn, drawn + AT_ONCE), lines.length);
      drawn += AT_ONCE;
      if (drawn < lines.length) return void requestAnimationFrame(part);
      this.missing = null;
      const front = this.front.getContext("2d");
      front.clearRect(0, 0, this.width, this.height);
      front.globalAlpha = 1;
      front.drawImage(canvas, 0, 0, this.width, this.height);
    };
    part();
  }

  drawOver() {
    const context = this.over.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const axis of this.axes) {
      context.strokeStyle = color("soft");
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(axis.x, this.y(0));
      context.lineTo(axis.x, this.y(1));
      context.stroke();
      const isLast = axis === this.axes.at(-1);
      context.textAlign = isLast ? "left" : "right";
      for (const [place, text] of axis.scale.ticks()) {
        const y = this.y(place);
        context.fillStyle = color("card");
        context.globalAlpha = 0.75;
        const wide = Math.min(90, context.measureText(text).width) + 6;
        context.fillRect(isLast ? axis.x + 4 : axis.x - wide - 4, y - 8, wide, 16);
        context.globalAlpha = 1;
        context.fillStyle = color("text");
        context.fillText(text.length > 14 ? `${text.slice(0, 13)}…` : text, isLast ? axis.x + 7 : axis.x - 7, y);
      }
      const range = this.brushes.get(axis.key);
      if (range) {
        context.fillStyle = color("accent");
        context.globalAlpha = 0.28;
        context.fillRect(axis.x - 9, this.y(range[1]) - 1, 18, this.y(range[0]) - this.y(range[1]) + 2);
        context.globalAlpha = 1;
        context.strokeStyle = color("accent");
        context.strokeRect(axis.x - 9, this.y(range[1]) - 1, 18, this.y(range[0]) - this.y(range[1]) + 2);
      }
    }
    if (this.pointed) {
      const row = this.selection.place.get(this.pointed.run);
      context.strokeStyle = color("text");
      context.lineWidth = 2.5;
      context.beginPath();
      this.trace(context, row);
      context.stroke();
    }
  }
}
