"""Measures the page of a large sweep in headless Chromium.

    python tests/browser/speed.py http://127.0.0.1:7433/sweeps/SWEEP [PID of the controller]

The controller asks for no token (`sweep controller --no-token`).

Prints for each of a few loads: the first paint; when table, filter and parallel coordinates can be used; when all charts that are in view are drawn;
how long it takes from a key that moves a brush to the next picture; how far apart the pictures are while a mouse drags a brush; the page's heap. With the
controller's PID also what it uses while the page is open and nothing happens.
"""

import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

LOADS = 5
KEYS = 16
REST_S = 30

OBSERVE = """
window.keys = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.name === "keydown") keys.push(entry.duration);
}).observe({ type: "event", durationThreshold: 16 });
"""

FRAMES = """
window.frames_ms = [];
let last = performance.now();
(function frame(now) {
  frames_ms.push(now - last);
  last = now;
  requestAnimationFrame(frame);
})(last);
"""


def load(page, url):
    """Opens the page; returns milliseconds to the first paint, until it can be used, and until it is whole."""
    page.goto(url, wait_until="commit")
    page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
    whole = page.evaluate("performance.now()")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    usable = float(page.evaluate("document.body.dataset.usable"))
    page.wait_for_timeout(3_500)
    return paint, usable, whole


def keys(page):
    """Moves both ends of a brush; returns how long each key took to be seen, those below 16 ms left out."""
    page.locator("#parallel-plot .axis").first.focus()
    page.wait_for_timeout(1_500)
    page.evaluate("keys.length = 0")
    for key in range(KEYS):
        page.keyboard.press("ArrowUp" if key < KEYS / 2 else "Shift+ArrowDown")
        page.wait_for_timeout(350)
    page.wait_for_timeout(500)
    seen = page.evaluate("keys")
    page.keyboard.press("Escape")
    return seen or [0]


def drag(page):
    """Drags a brush along an axis; returns how far apart the pictures were."""
    box = page.locator("#parallel-plot").bounding_box()
    axis = page.locator("#parallel-plot .axis").nth(1).bounding_box()
    x, y = axis["x"] + axis["width"] / 2, box["y"] + 60
    page.wait_for_timeout(1_000)
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(FRAMES)
    for step in range(25):
        page.mouse.move(x, y + 8 * step)
        page.wait_for_timeout(40)
    seen = page.evaluate("frames_ms")
    page.mouse.up()
    return seen


def used(pid):
    """Seconds of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main(url, pid=None):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for _ in range(LOADS):
            page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
            page.add_init_script(OBSERVE)
            paint, usable, whole = load(page, url)
            pressed, moved = keys(page), sorted(drag(page))
            heap = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
            print(
                f"first paint {paint:.0f} ms, usable {usable:.0f} ms, whole {whole:.0f} ms; "
                f"key to picture {statistics.median(pressed):.0f} ms in the median, {max(pressed):.0f} at most; "
                f"pictures of a drag {moved[int(0.95 * len(moved))]:.0f} ms apart at the 95th percentile, {moved[-1]:.0f} at most; heap {heap:.0f} MB"
            )
            page.context.close()
        if pid:
            page = browser.new_page()
            load(page, url)
            before = used(pid)
            time.sleep(REST_S)
            print(f"the controller at rest: {100 * (used(pid) - before) / REST_S:.2f} % of a processor")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
