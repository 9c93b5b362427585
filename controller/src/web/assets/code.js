// Differences of code, coloured line by line.

import { call } from "./api.js";
import { element } from "./format.js";

const LINES_MAX = 3000;

export function show(place, patch, title) {
  const kind = (line) => {
    if (line.startsWith("+++") || line.startsWith("---") || line.startsWith("diff ")) return "file";
    return { "+": "add", "-": "del", "@": "hunk" }[line[0]] ?? "";
  };
  const lines = patch.split("\n");
  const shown = lines.slice(0, LINES_MAX).map((line) => element("span", { class: kind(line) }, `${line}\n`));
  if (lines.length > LINES_MAX) shown.push(`… ${lines.length - LINES_MAX} more lines\n`);
  const body = patch.trim() ? element("pre", {}, ...shown) : element("p", { class: "soft", style: "padding:.5rem .75rem" }, "No difference.");
  place.replaceChildren(element("p", {}, element("strong", {}, title)), element("div", { class: "diff", tabindex: "0" }, body));
}

async function into(place, title, question) {
  place.replaceChildren(element("p", { class: "soft" }, "asking …"));
  try {
    const answer = await question();
    show(place, answer.patch + (answer.cut ? "\n… cut: the whole is longer" : ""), title);
  } catch (error) {
    place.replaceChildren(element("p", { class: "soft" }, `${title}: ${error.message}`));
  }
}

export const between = (place, sweep, from, to, title) => into(place, title, () => call("DiffCode", { sweep_id: sweep, from, to }));
export const uncommitted = (place, sweep, version, title) => into(place, title, () => call("GetPatch", { sweep_id: sweep, version }));

// Puts buttons into the table of versions.
export function buttons(sweep, place) {
  const cells = [...document.querySelectorAll("[data-diff]")];
  for (const cell of cells) {
    const number = Number(cell.dataset.diff);
    const version = cell.parentElement.dataset.version;
    const made = [element("button", { type: "button", class: "small", onclick: () => uncommitted(place, sweep, version, `What of version ${number} was not committed`) }, "uncommitted")];
    if (number > 1) made.unshift(element("button", { type: "button", class: "small", onclick: () => between(place, sweep, cells[number - 2].parentElement.dataset.version, version, `From version ${number - 1} to version ${number}`) }, `diff to ${number - 1}`));
    cell.replaceChildren(...made.flatMap((button) => [button, " "]));
  }
}
