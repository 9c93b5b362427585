// What the search has learnt, in words, and what to try next.

import { element, inert, label, number } from "./format.js";

const percent = (share) => `${Math.round(100 * share)} %`;

export function agreement(metric, one) {
  const { newest, older, correlation, deviation, shift } = one;
  const verb = correlation >= 0.7 ? "agrees with" : correlation >= 0.3 ? "agrees in part with" : correlation >= -0.3 ? "has little in common with" : "turns round what held for";
  return `version ${newest} ${verb} version ${older}: correlation ${correlation.toFixed(2)} ± ${deviation.toFixed(2)}, ${inert(metric)} ${number(Math.abs(shift))} ${shift < 0 ? "lower" : "higher"}`;
}

// Where the best run stands at an end of a range: the space may be too narrow.
function edges(selection, best) {
  return selection.axes.filter((axis) => axis.range && typeof best.params[axis.name] === "number").flatMap((axis) => {
    const [low, high] = axis.range;
    const value = best.params[axis.name];
    const share = axis.log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    const whole = Number.isInteger(low) && Number.isInteger(high) && high - low < 30;
    if (share <= 0.02 && !(whole && low <= 1)) return [`widen ${inert(axis.name)} below ${number(low)}`];
    return share >= 0.98 ? [`widen ${inert(axis.name)} above ${number(high)}`] : [];
  });
}

function next(selection, analysis) {
  const best = selection.best(selection.runs);
  const ideas = [];
  if (best) for (const edge of edges(selection, best)) ideas.push(`The best run stands at the end of a range: ${edge} (Edit, or sweep edit).`);
  const matters = [...analysis.effects].sort((a, b) => b.share - a.share).filter((effect) => effect.share > 0.15).slice(0, 2);
  for (const effect of matters) {
    const curve = effect.curve.filter((point) => Number.isFinite(point.mean));
    if (curve.length < 2) continue;
    const sorted = [...curve].sort((a, b) => selection.sign * (a.mean - b.mean));
    ideas.push(`Look around ${inert(effect.parameter)} = ${label(JSON.parse(sorted[0].value_json))}: there the model expects the best (${number(sorted[0].mean)}).`);
  }
  const idle = [...analysis.effects].filter((effect) => effect.share < 0.01 && effect.share + 2 * (effect.share_deviation ?? 0) < 0.05);
  if (idle.length && analysis.observations >= 20) ideas.push(`${idle.map((effect) => inert(effect.parameter)).join(", ")} made no difference so far: fix ${idle.length > 1 ? "them" : "it"} and search the others.`);
  const recent = selection.runs.filter((run) => run.ended).sort((a, b) => a.ended - b.ended);
  if (best && recent.length > 30 && recent.findIndex((run) => run.run === best.run) < 0.6 * recent.length) ideas.push("The best run is old: the last two fifths of the runs have found nothing better. Repeat the best one, or change the space.");
  if (!ideas.length) ideas.push("Let it run on: nothing yet asks for a change.");
  return ideas;
}

export function learnt(place, selection, analysis) {
  const { sweep } = selection;
  const entries = [];
  const say = (id, title, ...lines) => entries.push(element("dt", {}, title), element("dd", { id: `finding-${id}` }, ...lines.map((line) => element("div", {}, line))));
  const recommended = analysis.recommendation;
  if (recommended?.by_model) say("recommended", "By the model", `run ${recommended.run} is the one to go on with: ${inert(sweep.metric)} = ${number(recommended.mean)} ± ${number(recommended.deviation)}`);
  if (analysis.failing) say("region", "Where it fails", analysis.failing);
  const matters = [...analysis.effects].sort((a, b) => b.share - a.share).filter((effect) => effect.share >= 0.05).slice(0, 4);
  if (matters.length) say("matters", "What matters", matters.map((effect) => `${inert(effect.parameter)} ${percent(effect.share)}${effect.share_deviation ? ` ± ${percent(effect.share_deviation)}` : ""}${effect.direction ? ` (${effect.direction})` : ""}`).join(", "));
  if (analysis.agreements.length) say("agreement", "The code", ...analysis.agreements.map((one) => agreement(sweep.metric, one)));
  say("next", "Try next", ...next(selection, analysis));
  place.replaceChildren(...entries);
}
