// The table of all runs: only the rows that are looked at exist.

import { choice, duration, element, inert, label, nextFrame, number } from "./format.js";

const ROW = 32;
const SPARE = 12;

export class Table {
  constructor(place, tools, selection, act) {
    Object.assign(this, { place, selection, act, picked: new Set(), sort: { key: "run", down: true } });
    this.search = element("input", { type: "search", placeholder: "val_loss < 0.3 and optimizer = adam", "aria-label": "Filter runs by an expression", title: "Names of parameters and metrics, and: run, state, value, code, machine, agent, failure, why, took, attempts, tag, note. Operators: = != < <= > >= ~ (contains), and, or, not, parentheses." });
    this.error = element("span", { class: "bad", role: "alert" });
    this.search.addEventListener("input", () => this.filter());
    this.shown = new Set(["run", "state", "value", "last", "machine", "took", "code"]);
    for (const axis of selection.axes.filter((axis) => !axis.constant).slice(0, 8)) this.shown.add(`param ${axis.name}`);
    this.compare = element("button", { type: "button", disabled: true, onclick: () => (location.href = `/sweeps/${selection.sweep.id}/compare?runs=${[...this.picked].join(",")}`) }, "Compare");
    this.again = element("button", { type: "button", disabled: true, onclick: () => act.retry([...this.picked]) }, "Retry");
    this.columnsChoice = element("span");
    tools.append(this.error, this.search, this.compare, this.again, this.columnsChoice, element("button", { type: "button", onclick: () => this.save() }, "CSV"));
    this.box = element("div", { class: "virtual", tabindex: "0", role: "region", "aria-label": "Runs" });
    this.count = element("p", { class: "soft", role: "status" });
    place.replaceChildren(this.count, this.box);
    this.box.addEventListener("scroll", () => this.draw());
    selection.addEventListener("chosen", nextFrame(() => this.refresh()));
    this.columns();
  }

  set text(text) {
    this.search.value = text;
    this.filter();
  }

  filter() {
    try {
      this.selection.setFilter(this.search.value);
      this.error.textContent = "";
      this.search.classList.remove("wrong");
    } catch (error) {
      const kept = this.selection.filter ? `the runs of "${this.selection.filter}" are still shown` : "all runs are shown";
      this.error.textContent = `${error.message}; ${kept}`;
      this.search.classList.add("wrong");
    }
    this.place.dispatchEvent(new Event("filtered"));
  }

  all() {
    const { axes, sweep, codes, runs } = this.selection;
    const version = new Map(codes.map((code, index) => [code, index + 1]));
    const metrics = new Set();
    for (const run of runs.slice(-1000)) for (const name of Object.keys(run.metrics ?? {})) metrics.add(name);
    const lastOf = (run) => run.metrics?.[sweep.metric];
    const differs = runs.some((run) => lastOf(run) !== undefined && number(lastOf(run)) !== number(run.value ?? run.best));
    const link = (run) => element("a", { href: `/sweeps/${sweep.id}/runs/${run.run}` }, run.run);
    return [
      { key: "run", name: "Run", numeric: true, read: (run) => run.run, show: link },
      { key: "state", name: "State", read: (run) => run.state, show: (run) => element("span", { class: `state ${run.state}` }, run.state) },
      { key: "value", name: sweep.metric || "Value", numeric: true, read: (run) => run.value ?? run.best },
      ...(differs ? [{ key: "last", name: `${sweep.metric} (last)`, numeric: true, read: lastOf }] : []),
      ...axes.map((axis) => ({ key: `param ${axis.name}`, name: axis.name, numeric: !axis.values?.some((value) => typeof value !== "number"), read: (run) => run.params[axis.name] })),
      { key: "machine", name: "Machine", read: (run) => this.selection.host(run) },
      { key: "took", name: "Took", numeric: true, read: (run) => this.selection.took(run), show: (run) => (this.selection.took(run) === undefined ? "" : duration(1000 * this.selection.took(run))) },
      { key: "code", name: "Code", numeric: true, read: (run) => version.get(run.code) ?? run.code },
      { key: "failure", name: "Failure", read: (run) => run.failure?.replaceAll("_", " ") },
      { key: "why", name: "Why", read: (run) => run.why?.replaceAll("_", "-") },
      { key: "reason", name: "Reason", read: (run) => run.reason },
      { key: "attempts", name: "Attempts", numeric: true, read: (run) => run.tries?.length ?? 0 },
      { key: "tags", name: "Tags", read: (run) => run.tags?.join(", ") },
      { key: "note", name: "Note", read: (run) => run.note },
      ...[...metrics].filter((name) => name !== sweep.metric).sort().map((name) => ({ key: `metric ${name}`, name, numeric: true, read: (run) => run.metrics?.[name] })),
    ];
  }

  columns() {
    this.known = this.all();
    this.columnsChoice.replaceChildren(choice("Columns", this.known.map(({ key, name }) => ({ key, name })), this.shown, () => this.refresh()));
    this.refresh();
  }

  refresh() {
    const { key, down } = this.sort;
    const by = this.known.find((column) => column.key === key) ?? this.known[0];
    const rank = (value) => (value === undefined || value === null || Number.isNaN(value) ? null : value);
    const order = down ? -1 : 1;
    // Pinned runs stay above; what has no value comes last whichever way.
    this.rows = this.selection.visible().map((run) => [run.pinned ? 0 : 1, rank(by.read(run)), run]).sort((a, b) => {
      if (a[0] !== b[0]) return a[0] - b[0];
      if (a[1] === null || b[1] === null) return (a[1] === null) - (b[1] === null) || a[2].run - b[2].run;
      if (typeof a[1] === "number" && typeof b[1] === "number") return order * (a[1] - b[1]) || a[2].run - b[2].run;
      return order * String(a[1]).localeCompare(String(b[1])) || a[2].run - b[2].run;
    }).map((entry) => entry[2]);
    const { runs, cut, total } = this.selection;
    this.count.textContent = `${this.rows.length === runs.length ? "" : `${this.rows.length} of `}${runs.length} runs${cut ? ` out of ${total}: open ones, the best, the newest, and evenly spaced others` : ""}`;
    this.head();
    this.draw();
  }

  head() {
    const cells = this.known.filter((column) => this.shown.has(column.key)).map((column) => {
      const sorted = this.sort.key === column.key ? (this.sort.down ? "descending" : "ascending") : "none";
      const name = element("button", { type: "button" }, column.name);
      name.addEventListener("click", () => {
        this.sort = { key: column.key, down: this.sort.key === column.key ? !this.sort.down : false };
        this.refresh();
      });
      return element("th", { class: column.numeric ? "number" : "", "aria-sort": sorted, scope: "col" }, name);
    });
    this.body = element("tbody");
    this.box.replaceChildren(element("table", { "aria-label": "Runs" }, element("thead", {}, element("tr", {}, element("th", { scope: "col", "aria-label": "Chosen" }, ""), ...cells)), this.body));
  }

  draw() {
    const columns = this.known.filter((column) => this.shown.has(column.key));
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
    const last = Math.min(this.rows.length, first + Math.ceil((this.box.clientHeight || 544) / ROW) + 2 * SPARE);
    const spacer = (rows) => element("tr", { class: "spacer" }, element("td", { colspan: columns.length + 1, style: `height:${rows * ROW}px` }));
    const best = this.selection.sweep.best?.[0];
    const rows = this.rows.slice(first, last).map((run) => this.row(run, columns, best));
    this.body.replaceChildren(spacer(first), ...rows, spacer(this.rows.length - last));
  }

  row(run, columns, best) {
    const box = element("input", { type: "checkbox", checked: this.picked.has(run.run), "aria-label": `Pick run ${run.run}` });
    box.addEventListener("change", () => {
      if (box.checked) this.picked.add(run.run);
      else this.picked.delete(run.run);
      this.compare.disabled = this.picked.size < 2;
      this.again.disabled = this.picked.size === 0;
    });
    const pin = element("button", { type: "button", class: "small", title: run.pinned ? "Unpin" : "Pin above the others", "aria-pressed": run.pinned ? "true" : "false", onclick: () => this.act.pin(run) }, run.pinned ? "★" : "☆");
    const cells = columns.map((column) => {
      const value = column.show ? column.show(run) : column.numeric && typeof column.read(run) === "number" ? number(column.read(run)) : label(column.read(run));
      const title = typeof value === "string" && value.length > 30 ? value : null;
      return element("td", { class: column.numeric ? "number" : "", title }, value);
    });
    return element("tr", { class: run.run === best ? "best" : "", "data-run": run.run }, element("td", {}, box, " ", pin), ...cells);
  }

  save() {
    const columns = this.known.filter((column) => this.shown.has(column.key));
    // A spreadsheet takes a cell that begins with one of these for a formula.
    const cell = (value) => {
      const text = value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
      const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
      return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    const lines = [columns.map((column) => cell(column.name)), ...this.rows.map((run) => columns.map((column) => cell(column.read(run))))];
    const blob = new Blob([lines.map((line) => line.join(",")).join("\r\n") + "\r\n"], { type: "text/csv" });
    const link = element("a", { href: URL.createObjectURL(blob), download: `${inert(this.selection.sweep.id)}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}
