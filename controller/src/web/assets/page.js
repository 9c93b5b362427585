// What all pages share: the theme, times in the reader's own words, and parts that are asked for again when something has changed.

import { live, text } from "./api.js";
import { age, later, toast } from "./format.js";

const byId = (id) => document.getElementById(id);

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });

function theme() {
  const root = document.documentElement;
  const button = byId("theme");
  const saved = localStorage.getItem("sweep-theme");
  if (saved) root.dataset.theme = saved;
  const isDark = () => getComputedStyle(root).colorScheme === "dark";
  const name = () => (button.textContent = isDark() ? "Light" : "Dark");
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("sweep-theme", root.dataset.theme);
    name();
    document.dispatchEvent(new Event("theme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    name();
    document.dispatchEvent(new Event("theme"));
  });
  name();
}

function times() {
  for (const time of document.querySelectorAll("time[data-ms]")) {
    const ms = Number(time.dataset.ms);
    time.textContent = `${age(Date.now() - ms)} ago`;
    if (time.dateTime) continue;
    time.title = MOMENT.format(ms);
    time.dateTime = new Date(ms).toISOString();
  }
}

// Parts that the server writes are written by the server again: one way to say a thing.
const refresh = later(700, async () => {
  try {
    const fresh = new DOMParser().parseFromString(await text(location.pathname + location.search), "text/html");
    for (const part of document.querySelectorAll("[data-refresh]")) {
      const found = fresh.querySelector(`[data-refresh="${part.dataset.refresh}"]`);
      if (!found || found.innerHTML === part.dataset.html) continue;
      part.dataset.html = found.innerHTML;
      const open = new Set([...part.querySelectorAll("details[open] summary")].map((summary) => summary.textContent));
      part.replaceChildren(...[...found.childNodes].map((node) => document.importNode(node, true)));
      for (const summary of part.querySelectorAll("summary")) summary.parentElement.open = open.has(summary.textContent);
    }
    times();
    document.dispatchEvent(new Event("refreshed"));
  } catch {
    // The stream of news says that the controller is away.
  }
});

function sweeps() {
  const [box, query, state] = [byId("sweeps-filter"), byId("q"), byId("state")];
  if (!box) return;
  const address = new URLSearchParams(location.search);
  query.value = address.get("q") ?? "";
  state.value = address.get("state") ?? "";
  const filter = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.querySelectorAll("#sweeps tbody tr")) row.hidden = !(words.every((word) => row.dataset.text.toLowerCase().includes(word)) && (!state.value || row.dataset.state === state.value));
    const url = new URL(location);
    for (const [name, value] of [["q", query.value], ["state", state.value]]) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    history.replaceState(null, "", url);
  };
  query.addEventListener("input", filter);
  state.addEventListener("change", filter);
  document.addEventListener("refreshed", filter);
  box.hidden = false;
  filter();
}

async function start() {
  theme();
  times();
  setInterval(times, 10000);
  if (byId("sweep")) return (await import("./sweep.js")).start(refresh);
  if (byId("run")) return (await import("./run.js")).start(refresh);
  if (byId("compare")) return (await import("./run.js")).compare();
  sweeps();
  const agents = await import("./agents.js");
  agents.buttons(refresh);
  document.addEventListener("refreshed", () => agents.buttons(refresh));
  if (document.body.dataset.live) live("", { changed: refresh });
  document.body.dataset.ready = "yes";
}

start().catch((error) => {
  console.error(error);
  toast(error.message, true);
});
