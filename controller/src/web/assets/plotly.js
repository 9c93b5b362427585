// plotly.js, loaded when the first chart comes into view: it is large, and nothing else waits for it.

import { color, turn } from "./format.js";

// More markers than these are drawn slowly and tell no more.
export const MARKERS_MAX = 500;

let loading = null;

function library() {
  loading ??= new Promise((resolve, reject) => {
    // It sets styles through its own element, which it takes if it is there.
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", import.meta.url).href;
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => reject(new Error("the charts could not be loaded"));
    document.head.append(script);
  });
  return loading;
}

// A touch screen has no pointer that rests: there the tool bar would lie on the chart always.
const config = () => ({ displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"], showTips: false, displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false });

// A narrower chart is one on a phone.
const NARROW = 520;
export const isNarrow = (place) => place.clientWidth < NARROW;

// Draws or redraws a chart.
export async function draw(place, traces, layout = {}) {
  const plotly = await library();
  await turn();
  if (place.classList.contains("empty")) {
    place.classList.remove("empty");
    place.replaceChildren();
  }
  const axis = { gridcolor: color("faint"), linecolor: color("line"), zeroline: false, automargin: true, exponentformat: "power" };
  const full = {
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { color: color("text"), family: "system-ui, sans-serif", size: 12 },
    margin: { l: 50, r: 15, t: 15, b: 40 },
    hoverlabel: { bgcolor: color("card"), bordercolor: color("line"), font: { color: color("text") }, align: "left" },
    // Above the chart, and higher where it needs more rows.
    legend: { orientation: "h", y: 1.01, yanchor: "bottom", x: 0, font: { size: isNarrow(place) ? 11 : 12 } },
    modebar: { bgcolor: "transparent", color: color("soft"), activecolor: color("accent") },
    ...layout,
    // The steps between powers of ten would lie on each other.
    xaxis: { ...axis, ...(isNarrow(place) && layout.xaxis?.type === "log" ? { nticks: 4 } : {}), ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  };
  await plotly.react(place, traces, full, config());
  describe(place, full.yaxis.title?.text);
  fit(plotly, place);
  return place;
}

// Says in the place of a chart why there is nothing to draw.
export function empty(place, ...words) {
  globalThis.Plotly?.purge(place);
  delete place.dataset.linked;
  place.classList.add("empty");
  place.replaceChildren(...words);
}

const BORDERS = 4;
const fitted = new WeakSet();

// A chart follows its place, which also changes when a neighbour appears: the library itself looks at the window alone.
function fit(plotly, place) {
  if (fitted.has(place)) return;
  fitted.add(place);
  new ResizeObserver(() => {
    const drawn = place.querySelector(".main-svg");
    if (drawn && place.clientWidth && Math.abs(drawn.getAttribute("width") - place.clientWidth) > BORDERS) plotly.Plots.resize(place);
  }).observe(place);
}

// Users of a screen reader hear what a chart shows; its buttons are for a mouse alone.
function describe(place, what) {
  if (!place.hasAttribute("aria-label")) place.setAttribute("aria-label", what ? `chart of ${what}` : "chart");
  place.setAttribute("role", "img");
  for (const silent of [...place.querySelectorAll(".modebar-container"), document.getElementById("js-plotly-tester")]) silent?.setAttribute("aria-hidden", "true");
}

// Calls when an element comes near the view, once.
export function whenSeen(place, action) {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    action();
  }, { rootMargin: "300px" });
  observer.observe(place);
}

// A scale of colours that reads the same for colour-blind eyes, dark for good.
const SCALE = [[0, "#2c115f"], [0.25, "#721f81"], [0.5, "#b73779"], [0.75, "#f1605d"], [1, "#feb078"]];
const LIGHT = [[0, "#fcfdbf"], [0.25, "#feb078"], [0.5, "#f1605d"], [0.75, "#b73779"], [1, "#721f81"]];
export const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";
export const scale = () => (isDark() ? LIGHT : SCALE);

// The colour at a place of the scale: 0 is the best.
export function colorAt(share) {
  const stops = scale();
  const at = Math.min(1, Math.max(0, share));
  const upper = Math.max(1, stops.findIndex(([place]) => place >= at));
  const [[low, from], [high, to]] = [stops[upper - 1], stops[upper]];
  const part = (at - low) / (high - low);
  const channel = (hex, index) => parseInt(hex.slice(1 + 2 * index, 3 + 2 * index), 16);
  return `rgb(${[0, 1, 2].map((index) => Math.round(channel(from, index) * (1 - part) + channel(to, index) * part)).join(",")})`;
}
