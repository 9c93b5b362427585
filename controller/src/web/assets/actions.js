// What people do on the page. Each is a call that the command line makes too, with the same checks; what is refused says why.

import { call, requestId } from "./api.js";
import { element, inert, label, toast } from "./format.js";

const ACTION = { pause: 1, resume: 2, stop: 3, cancel: 4 };

async function attempt(what, action) {
  try {
    const said = await action();
    if (said) toast(said);
    return true;
  } catch (error) {
    toast(`${what}: ${error.message}`, true);
    return false;
  }
}

export function dialog(title, content, verb, act, close = "Close") {
  const button = element("button", { type: "button", class: "primary" }, verb);
  const made = element("dialog", { "aria-label": title }, element("h2", {}, title), content, element("div", { class: "row" }, button, element("button", { type: "button", onclick: () => made.close() }, close)));
  button.addEventListener("click", async () => {
    button.disabled = true;
    if (await act()) made.close();
    button.disabled = false;
  });
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
  return { made, button };
}

export const confirm = (title, text, verb, act, close) => dialog(title, element("p", {}, text), verb, act, close);

export async function setState(sweep, action) {
  return attempt(`${action.slice(0, 1).toUpperCase()}${action.slice(1)}`, async () => `the sweep is ${(await call("SetSweepState", { sweep_id: sweep, action: ACTION[action], request_id: requestId() })).state}`);
}

export async function retry(sweep, runs) {
  return attempt("Retry", async () => {
    const { requeued, skipped } = await call("RetryRuns", { sweep_id: sweep, runs, request_id: requestId() });
    return [requeued.length ? `queued again: ${requeued.join(", ")}` : "nothing was queued", ...skipped].join("\n");
  });
}

export const cancel = (sweep, run) => attempt("Cancel", async () => `run ${run} is ${(await call("CancelRun", { sweep_id: sweep, run, request_id: requestId() })).state}`);
export const readmit = (agent) => attempt("Readmit", async () => `agent ${(await call("ReadmitAgent", { agent_id: agent, request_id: requestId() })).agent.id} gets runs again`);
export const annotate = (sweep, run, change) => attempt("Note", async () => (await call("AnnotateRun", { sweep_id: sweep, run, request_id: requestId(), ...change })) && "");

// A number where the text is one, as YAML would read it.
function typed(text, axis) {
  const listed = axis.values?.find((value) => label(value) === text);
  if (listed !== undefined) return listed;
  const value = Number(text);
  return text.trim() !== "" && !Number.isNaN(value) ? value : text;
}

export function enqueue(selection, from) {
  const start = from ?? selection.best(selection.runs)?.params ?? {};
  const fields = element("div", { class: "fields" });
  const inputs = selection.axes.filter((axis) => !axis.constant).map((axis) => {
    const value = label(start[axis.name] ?? axis.values?.[0] ?? axis.range?.[0]);
    const input = axis.values?.length
      ? element("select", {}, ...axis.values.map((option) => element("option", { selected: label(option) === value }, label(option))))
      : element("input", { value: typeof start[axis.name] === "number" ? String(start[axis.name]) : value, inputmode: "decimal" });
    fields.append(element("label", {}, axis.name), element("span", {}, input, " ", element("span", { class: "soft" }, axis.range ? `${label(axis.range[0])} to ${label(axis.range[1])}` : "")));
    return [axis, input];
  });
  const why = element("input", { value: "chosen on the page", "aria-label": "Why" });
  fields.append(element("label", {}, "why"), why);
  dialog("Try this configuration next", fields, "Enqueue", () =>
    attempt("Enqueue", async () => {
      const constants = selection.axes.filter((known) => known.constant).map((axis) => [axis, axis.values[0] ?? axis.range[0]]);
      // What exists only beside certain values is left to the controller where the field is empty.
      const chosen = inputs.filter(([, input]) => input.value.trim() !== "").map(([axis, input]) => [axis, typed(input.value, axis)]);
      const params = nested([...constants, ...chosen]);
      const { runs, skipped } = await call("OfferRuns", { sweep_id: selection.sweep.id, request_id: requestId(), runs: [{ params_json: JSON.stringify(params), why: why.value }] });
      return skipped.length ? skipped.join("\n") : `queued as run ${runs.join(", ")}`;
    }),
  );
}

// Parameters inside others are written inside them.
function nested(values) {
  const object = {};
  for (const [axis, value] of values) {
    let inner = object;
    for (const part of axis.path.slice(0, -1)) inner = inner[part] ??= {};
    inner[axis.path.at(-1)] = value;
  }
  return object;
}

export function edit(sweep, yaml) {
  const text = element("textarea", { spellcheck: false, "aria-label": "Sweep file" });
  text.value = yaml;
  const shown = element("div", { role: "status" });
  let checked = null;
  const answers = new Map();
  const ask = (dry) => call("EditSweep", { sweep_id: sweep, yaml: text.value, dry_run: dry, was_json: Object.fromEntries([...answers].map(([name, input]) => [name, input.value]).filter(([, value]) => value.trim())), request_id: dry ? "" : requestId() });
  text.addEventListener("input", () => {
    checked = null;
    button.textContent = "What would that change?";
  });
  const { button } = dialog("Edit the sweep", element("div", {}, text, shown), "What would that change?", async () => {
    if (checked === text.value) return attempt("Edit", async () => `revision ${(await ask(false)).revision} is in force`);
    try {
      const answer = await ask(true);
      checked = text.value;
      say(shown, answer, answers);
      button.textContent = answer.changes.length ? "Apply" : "What would that change?";
      if (!answer.changes.length) checked = null;
    } catch (error) {
      checked = null;
      shown.replaceChildren(element("pre", { class: "bad" }, error.message));
    }
    return false;
  });
}

function say(shown, answer, answers) {
  const { changes, effect, warnings, questions } = answer;
  const counted = [["inside", "runs stay inside the space"], ["outside", "runs lie outside it, and still inform the search"], ["nowhere", "runs have no place in it"], ["unreported", "runs lack the new metric"], ["withdrawn", "queued runs are withdrawn"], ["running", "running ones continue to their end"]];
  const lines = counted.filter(([name]) => effect?.[name]).map(([name, words]) => element("li", {}, `${effect[name]} ${words}`));
  for (const question of questions) if (!answers.has(question.parameter)) answers.set(question.parameter, element("input", { placeholder: "what the code used before, as JSON", "aria-label": inert(question.parameter) }));
  shown.replaceChildren(
    element("h2", {}, changes.length ? "This would change" : "Nothing would change"),
    element("ul", {}, ...changes.map((change) => element("li", {}, change))),
    ...(lines.length ? [element("p", {}, "For the runs so far:"), element("ul", {}, ...lines)] : []),
    ...warnings.map((warning) => element("p", { class: "soft" }, `line ${warning.line}: ${warning.message}`)),
    ...questions.map((question) => element("p", {}, `${inert(question.parameter)} is new. What did the code use before? `, answers.get(question.parameter))),
  );
}

// The buttons of a sweep, by its state.
export function ofSweep(place, selection, yaml) {
  const { id, state } = selection.sweep;
  const failed = selection.runs.filter((run) => run.state === "failed").map((run) => run.run);
  const button = (name, act, title) => element("button", { type: "button", onclick: act, title }, name);
  const sure = (name, verb, text) => button(name, () => confirm(`${name} ${selection.sweep.name || id}?`, text, `${name} the sweep`, () => setState(id, verb), "Keep it running"));
  const buttons = [];
  if (state === "running") buttons.push(button("Pause", () => setState(id, "pause"), "No new runs; running ones continue"));
  else if (state !== "finished") buttons.push(button("Resume", () => setState(id, "resume")));
  if (state === "running" || state === "paused") buttons.push(sure("Stop", "stop", "No new runs will begin; those that run may end."), sure("Cancel", "cancel", "Running runs are killed. What has ended stays."));
  if (failed.length) buttons.push(button(`Retry ${failed.length} failed`, () => confirm("Retry failed runs", `${failed.length} runs that failed are queued again.`, "Retry", () => retry(id, failed))));
  if (selection.sweep.method !== "grid" && state === "running") buttons.push(button("Enqueue a point", () => enqueue(selection)));
  buttons.push(button("Edit", () => edit(id, yaml())));
  place.replaceChildren(...buttons);
}
