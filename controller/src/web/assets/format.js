// Values as people write them, and elements made without HTML: a text of a sweep can never become markup.

export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e-4 && size < 1e9 ? String(Number(value.toPrecision(5))) : Number(value.toPrecision(4)).toExponential().replace("e+", "e");
}

export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

// How long ago something was, in one unit.
export function age(ms) {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

// The range of an axis that shows the bulk of the values: from the best to a few spreads beyond the median, or to the worst but a few where they are not
// far. Nothing where it would gain little.
export function bulk(values, sign, spreads = 3) {
  const sorted = values.filter(Number.isFinite).map((value) => sign * value).sort((a, b) => a - b);
  if (sorted.length < 4) return undefined;
  const best = sorted[0];
  const beyond = (share) => sorted[Math.floor(share * (sorted.length - 1))] - best;
  // Where half of the runs diverge the median is none of the bulk.
  let share = 0.5;
  while (share > 0.1 && beyond(share) > 1000 * beyond(share / 2) && beyond(share / 2) > 0) share /= 2;
  const spread = beyond(share) || (sorted.find((value) => value > best) ?? best) - best;
  const most = beyond(0.9);
  const length = Math.max((1 + spreads) * spread, most < 20 * spread ? most : 0);
  if (!(spread > 0) || sorted.at(-1) - best < 2 * length) return undefined;
  const margin = 0.05 * length;
  const ends = [best - margin, best + length + margin];
  return sign > 0 ? ends : [-ends[1], -ends[0]];
}

// What could disguise a text is shown by its number, as on the server.
const DISGUISES = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
export const inert = (text) => String(text).replace(DISGUISES, (found) => `U+${found.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);

export function label(value) {
  if (value === undefined || value === null) return "";
  if (typeof value === "number") return number(value);
  return inert(typeof value === "string" ? value : JSON.stringify(value));
}

// For texts that plotly draws: it reads some HTML in them.
export const plain = (text) => inert(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && typeof value !== "string" && !key.startsWith("aria-")) made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : inert(child))));
  return made;
}

export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export function toast(text, wrong = false) {
  const note = element("div", { class: wrong ? "wrong" : "" }, text);
  document.getElementById("toast").append(note);
  setTimeout(() => note.remove(), wrong ? 12000 : 5000);
}

export function choice(title, options, chosen, changed) {
  const list = element("div");
  for (const option of options) {
    const box = element("input", { type: "checkbox", checked: chosen.has(option.key) });
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(option.key);
      else chosen.delete(option.key);
      changed();
    });
    list.append(element("label", {}, box, option.name));
  }
  return element("details", { class: "choice" }, element("summary", {}, title), list);
}

// Lets the browser do what waits: keys, the pointer, a picture.
export const turn = () => new Promise((resolve) => setTimeout(resolve));

// Waits until the next picture is shown. A hidden page shows none.
export const painted = () => new Promise((resolve) => (document.hidden ? resolve() : requestAnimationFrame(() => setTimeout(resolve))));

// Before the next picture, and once: for what follows the hand.
export function nextFrame(action) {
  let waiting = 0;
  return () => {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      action();
    });
  };
}

// After a while, and once: for what must not wait until no more changes come.
export function atLast(ms, action) {
  let timer = 0;
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      action();
    }, ms);
  };
}

// Soon, and once: for what follows many small changes.
export function later(ms, action) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, ms);
  };
}
