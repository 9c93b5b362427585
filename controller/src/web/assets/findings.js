// What the search has learnt, in words, and what to try next.

import { element, inert, number } from "./format.js";

const sentence = (text) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
const percent = (share) => `${Math.round(100 * share)} %`;

export function agreement(metric, one) {
  const { newest, older, correlation, deviation, shift } = one;
  const verb = correlation >= 0.7 ? "agrees with" : correlation >= 0.3 ? "agrees in part with" : correlation >= -0.3 ? "has little in common with" : "turns round what held for";
  return `version ${newest} ${verb} version ${older}: correlation ${correlation.toFixed(2)} ± ${deviation.toFixed(2)}, ${inert(metric)} ${number(Math.abs(shift))} ${shift < 0 ? "lower" : "higher"}`;
}

export function learnt(place, selection, analysis) {
  const { sweep } = selection;
  const entries = [];
  const say = (id, title, ...lines) => entries.push(element("dt", {}, title), element("dd", { id: `finding-${id}` }, ...lines.map((line) => element("div", {}, line))));
  const recommended = analysis.recommendation;
  const ended = Math.max(analysis.ended ?? 0, sweep.finished + sweep.stopped + sweep.failed);
  if (analysis.observations) say("basis", "Based on", `${analysis.observations} of ${ended} runs that have ended${analysis.skill == null ? "" : `; the model predicts ${percent(Math.max(0, analysis.skill))} of their differences`}`);
  if (recommended?.by_model) {
    const why = recommended.reason ? [sentence(inert(recommended.reason))] : [];
    say("recommended", "Recommended run", `run ${recommended.run}: the model expects ${inert(sweep.metric)} = ${number(recommended.mean)} ± ${number(recommended.deviation)}`, ...why);
  }
  if (analysis.failing) say("region", "Where it fails", analysis.failing);
  const matters = [...analysis.effects].sort((a, b) => b.share - a.share).filter((effect) => effect.share >= 0.05).slice(0, 4);
  if (matters.length) say("matters", "Parameter importance", matters.map((effect) => `${inert(effect.parameter)} ${percent(effect.share)}${effect.share_deviation ? ` ± ${percent(effect.share_deviation)}` : ""}${effect.direction ? ` (${effect.direction})` : ""}`).join(", "));
  if (analysis.agreements.length) say("agreement", "The code", ...analysis.agreements.map((one) => agreement(sweep.metric, one)));
  const advice = analysis.advice ?? [];
  const goesOn = sweep.state === "running" || sweep.state === "paused";
  const inVain = sweep.failed > 0 && sweep.finished + sweep.stopped === 0;
  say("next", "Try next", ...(advice.length ? advice.map((one) => sentence(inert(one.text))) : [!selection.runs.length ? "Start an agent: nothing has run yet." : inVain ? "Look at the failures: no run has ended well." : goesOn ? "Let it run on: nothing yet asks for a change." : "Nothing asks for a change."]));
  place.replaceChildren(...entries);
}
