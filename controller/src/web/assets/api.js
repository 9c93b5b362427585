// The way to the controller: questions, calls that change something, and news.

// A browser's own words for a controller that is away help no user.
async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Error("the controller does not answer");
  }
}

export async function get(path) {
  const response = await reach(path);
  if (!response.ok) throw new Error(`${path}: the controller answered ${response.status}`);
  return response.json();
}

export async function text(path) {
  const response = await reach(path);
  if (!response.ok) throw new Error(`${path}: the controller answered ${response.status}`);
  return response.text();
}

// `crypto.randomUUID` exists only where the page came over TLS or from this machine.
export const requestId = () => `page-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;

export async function call(name, body) {
  const response = await reach(`/api/v1/${name}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(answer.error?.message ?? `the controller answered ${response.status}`), { code: answer.error?.code });
  return answer;
}

// Calls back with news for as long as the page is looked at. A page in the background costs nothing, and hears what it has missed when it comes back.
export function live(query, handlers) {
  const shown = document.getElementById("live");
  let source = null;
  const open = () => {
    if (source) return;
    source = new EventSource(`/live?${query}`);
    source.onopen = () => (shown.textContent = "live");
    source.onerror = () => (shown.textContent = "waiting for the controller …");
    for (const [name, handler] of Object.entries(handlers)) source.addEventListener(name, (event) => handler(event.data ? JSON.parse(event.data) : null));
  };
  const close = () => {
    source?.close();
    source = null;
    shown.textContent = "paused";
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  open();
}
