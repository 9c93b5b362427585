"""Walks through the page as a person would, in Chromium, on a sweep that runs, and fails at the first thing that is not as it should be.

    python tests/browser/walk.py http://127.0.0.1:7433 SWEEP HOSTILE_SWEEP FOLDER_FOR_SCREENSHOTS

SWEEP_TOKEN is the controller's token, SWEEP_PAGE the link that `sweep controller status` prints.
"""

import json
import os
import pathlib
import re
import shutil
import sys
import time
import urllib.request

from playwright.sync_api import TimeoutError as Late, expect, sync_playwright

BASE, SWEEP, HOSTILE, FOLDER = sys.argv[1], sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4])
# Far longer than anything takes, on a busy machine too.
PATIENCE = 60_000
FOLDER.mkdir(parents=True, exist_ok=True)
expect.set_options(timeout=PATIENCE)
said = []


def watch(page):
    page.set_default_timeout(PATIENCE)
    page.on("console", lambda message: said.append(f"{page.url}: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    page.on("dialog", lambda dialog: said.append(f"{page.url}: a dialog: {dialog.message}"))
    return page


def is_well():
    assert not said, "\n".join(said)


def visit(page, path):
    page.goto(BASE + path)
    page.wait_for_selector("body[data-ready=yes]")


def shot(page, name, full=True):
    if full:
        # What comes into view is drawn.
        page.evaluate("async () => { const to = (top) => scrollTo({ top, behavior: 'instant' }); for (let y = 0; y < document.body.scrollHeight; y += 400) { to(y); await new Promise((r) => setTimeout(r, 60)); } to(0); }")
    page.wait_for_timeout(300)
    picture(page, name, full)


def picture(page, name, full=True):
    path = FOLDER / f"{name}.png"
    try:
        page.screenshot(path=path, full_page=full, timeout=PATIENCE / 2)
    except Late:
        # It takes a second. Once in some dozens of walks Chromium has handed out no more frames of a page, while the page itself answered.
        print(f"  no picture of {name}: on another page", flush=True)
        other = watch(page.context.new_page())
        other.goto(page.url)
        other.wait_for_timeout(PATIENCE / 6)
        other.screenshot(path=path, full_page=full)
        other.close()


def call(name, **body):
    request = urllib.request.Request(f"{BASE}/api/v1/{name}", json.dumps(body).encode(), {"content-type": "application/json", "authorization": f"Bearer {os.environ['SWEEP_TOKEN']}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def drawn(page, id):
    place = page.locator(f"#{id}-plot")
    place.scroll_into_view_if_needed()
    expect(place.locator(".main-svg").first).to_be_attached()
    return place


def count(page):
    """How many runs are chosen, of how many there are: at one time, since the sweep goes on."""
    text = page.locator("#table > p").inner_text()
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return numbers[0], numbers[-1]


def eventually(holds, what):
    """Waits for what follows the controller sooner or later."""
    until = time.monotonic() + PATIENCE / 1000
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.1)


def sweeps(page):
    visit(page, "/")
    row = page.locator("#sweeps tbody tr", has_text=SWEEP)
    expect(row.locator(".spark path")).to_be_attached()
    page.fill("#q", "no such sweep at all")
    expect(row).to_be_hidden()
    page.fill("#q", SWEEP)
    expect(row).to_be_visible()
    assert f"q={SWEEP}" in page.url, page.url
    page.reload()
    expect(page.locator("#q")).to_have_value(SWEEP)
    page.select_option("#state", "cancelled")
    expect(row).to_be_hidden()
    page.select_option("#state", "")
    shot(page, "sweeps")


def pictures(page):
    visit(page, f"/sweeps/{SWEEP}")
    for id in ["history", "importance", "slices", "curves"]:
        drawn(page, id)
    # The importance appears beside the history, and takes half of its room.
    fits = "() => [...document.querySelectorAll('.plot > .js-plotly-plot .main-svg, .plot.js-plotly-plot .main-svg')].every((drawn) => Math.abs(drawn.getAttribute('width') - drawn.closest('.plot').clientWidth) <= 4)"
    eventually(lambda: page.evaluate(fits), "a chart is not as wide as its place")
    expect(page.locator("#parallel-plot canvas")).to_have_count(3)
    assert page.locator("#timeline-plot canvas").count() == 1
    page.select_option("#slices-tools select >> nth=0", "lr")
    page.select_option("#slices-tools select >> nth=1", "width")
    expect(page.locator("#slices-plot .cbcoords, #slices-plot .colorbar").first).to_be_attached()
    for what in ["uncertainty", "success", "mean"]:
        page.select_option("#slices-tools select >> nth=2", what)
    shot(page, "sweep")
    is_well()


def timeline(page):
    """The stay of the broken machine in quarantine is seen and named."""
    plot = page.locator("#timeline-plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    # At any moment it may be probed instead: from now back.
    for back in range(16, int(box["width"]) - 140, 40):
        for down in range(30, int(box["height"]), 6):
            page.mouse.move(box["x"] + box["width"] - back, box["y"] + down)
            tip = plot.locator(".tip")
            if tip.is_visible() and "quarantined" in tip.inner_text():
                assert "failed on it" in tip.inner_text(), tip.inner_text()
                return
    raise AssertionError("no stay in quarantine is seen")


def brush(page):
    plot = page.locator("#parallel-plot")
    plot.scroll_into_view_if_needed()
    name = plot.locator(".axis").first
    box, axis = plot.bounding_box(), name.bounding_box()
    x = axis["x"] + axis["width"] / 2
    page.mouse.move(x, box["y"] + box["height"] * 0.2)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] * 0.55, steps=8)
    page.mouse.up()
    expect(page.locator("#selection")).to_contain_text("lr ")
    chosen, total = count(page)
    assert 0 < chosen < total, (chosen, total)
    page.get_by_role("button", name="Clear brushes").click()
    expect(page.locator("#selection")).to_contain_text("Drag along an axis")
    chosen, total = count(page)
    assert chosen == total, (chosen, total)
    # The same from the keyboard.
    name.focus()
    for _ in range(6):
        page.keyboard.press("ArrowUp")
    expect(page.locator("#selection")).to_contain_text("lr ")
    chosen, total = count(page)
    assert chosen < total, (chosen, total)
    page.keyboard.press("Escape")
    expect(page.locator("#selection")).to_contain_text("Drag along an axis")
    page.keyboard.press("l")
    expect(plot.locator(".axis").first).not_to_have_class(re.compile("log"))
    page.keyboard.press("l")
    expect(plot.locator(".axis").first).to_have_class(re.compile("log"))


def filters(page):
    search = page.get_by_role("searchbox", name="Filter runs by an expression")
    search.fill("state = failed and lr > 0.001")
    expect(page.locator(".virtual tbody tr[data-run] .state").first).to_have_text("failed")
    assert all(text == "failed" for text in page.locator(".virtual tbody .state").all_inner_texts())
    page.wait_for_url(re.compile("q=state"))
    search.fill("lr > ")
    expect(page.locator("#runs-tools [role=alert]")).to_contain_text('">" needs a value on its right')
    search.fill("nothing = 3")
    expect(page.locator("#runs-tools [role=alert]")).to_contain_text('no run has "nothing"')
    search.fill("")
    expect(page.locator("#runs-tools [role=alert]")).to_be_empty()
    page.locator(".virtual").get_by_role("button", name="val_loss", exact=True).click()
    expect(page.locator(".virtual th[aria-sort=ascending]")).to_contain_text("val_loss")
    before, _ = count(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    lines = pathlib.Path(download.value.path()).read_text().splitlines()
    after, _ = count(page)
    assert before <= len(lines) - 1 <= after and "val_loss" in lines[0], (before, after, len(lines), lines[:2])
    page.locator("#runs-tools summary", has_text="Columns").click()
    page.locator("#runs-tools").get_by_label("pedestrians").check()
    expect(page.locator(".virtual th", has_text="pedestrians")).to_be_visible()
    page.locator("#runs-tools summary", has_text="Columns").click()


def what_if(page):
    before = page.locator("#sliders [role=status]").inner_text()
    page.get_by_label("least pedestrians").evaluate("(input) => { input.value = 195; input.dispatchEvent(new Event('input')); }")
    expect(page.locator("#sliders [role=status]")).to_contain_text("that are chosen")
    assert page.locator("#sliders [role=status]").inner_text() != before
    page.get_by_label("least pedestrians").evaluate("(input) => { input.value = 0; input.dispatchEvent(new Event('input')); }")


def acts(page):
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("h1 .state.paused")).to_be_visible()
    assert call("GetSweep", sweep_id=SWEEP)["sweep"]["state"] == "paused"
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("h1 .state.running")).to_be_visible()
    # One failed run again.
    page.get_by_role("searchbox", name="Filter runs by an expression").fill("state = failed")
    expect(page.locator("#selection")).to_contain_text("state = failed")
    run = int(page.locator(".virtual tbody tr[data-run]").first.get_attribute("data-run"))
    page.locator(f".virtual tbody tr[data-run='{run}']").get_by_role("checkbox").check()
    page.locator("#runs-tools").get_by_role("button", name="Retry").click()
    expect(page.locator("#toast")).to_contain_text(f"queued again: {run}")
    assert len(call("GetRun", sweep_id=SWEEP, run=run)["run"]["attempts"]) >= 1
    page.get_by_role("searchbox", name="Filter runs by an expression").fill("")
    # A point of one's own.
    page.get_by_role("button", name="Enqueue a point").click()
    fields = page.get_by_role("dialog")
    fields.locator(".fields input").first.fill("0.0123")
    shot(page, "enqueue", full=False)
    fields.get_by_role("button", name="Enqueue").click()
    expect(page.locator("#toast")).to_contain_text("queued as run")
    # An edit says first what it means.
    page.get_by_role("button", name="Edit").click()
    editor = page.get_by_role("dialog")
    text = editor.get_by_label("Sweep file").input_value()
    editor.get_by_label("Sweep file").fill(text.replace("max: 256", "max: two"))
    editor.get_by_role("button", name="What would that change?").click()
    expect(editor.locator(".bad")).to_contain_text("max")
    said[:] = [message for message in said if "400" not in message]
    editor.get_by_label("Sweep file").fill(text.replace("max: 256", "max: 240"))
    editor.get_by_role("button", name="What would that change?").click()
    expect(editor).to_contain_text("This would change")
    shot(page, "edit", full=False)
    editor.get_by_role("button", name="Apply").click()
    expect(page.locator("#toast")).to_contain_text("revision 2 is in force")


def marks(page):
    # Rows move as the sweep goes on.
    run = page.locator(".virtual tbody tr[data-run]").nth(3).get_attribute("data-run")
    page.locator(f".virtual tbody tr[data-run='{run}']").get_by_role("button").first.click()
    expect(page.locator(".virtual tbody tr[data-run]").first).to_have_attribute("data-run", run)
    assert call("GetRun", sweep_id=SWEEP, run=int(run))["run"]["pinned"]


def code(page):
    page.locator("#code [data-diff]").get_by_role("button", name="diff to 1").first.click()
    expect(page.locator("#code-diff .add", has_text="a mended loss")).to_be_visible()
    page.locator(".failure summary").first.click()
    expect(page.locator(".failure pre").first).to_contain_text("OutOfMemoryError")


def runs(page):
    listed = page.evaluate("(id) => fetch(`/sweeps/${id}/data.json`).then((answer) => answer.json())", SWEEP)["runs"]
    failed = next(run for run in listed if run.get("failure") == "cuda_out_of_memory")
    visit(page, f"/sweeps/{SWEEP}/runs/{failed['run']}")
    expect(page.locator("#attempts")).to_contain_text("attribution: configuration")
    expect(page.locator("#output")).to_contain_text("OutOfMemoryError")
    page.get_by_role("searchbox", name="Search the output").fill("memory")
    expect(page.locator("#output mark.now")).to_be_visible()
    expect(page.locator("#log-tools [role=status]")).to_contain_text("1 of")
    page.get_by_label("Note").fill("too wide for this learning rate")
    page.get_by_label("Note").press("Enter")
    page.get_by_label("Tags, separated by spaces").fill("looked-at paper")
    page.get_by_label("Tags, separated by spaces").press("Enter")
    eventually(lambda: all(call("GetRun", sweep_id=SWEEP, run=failed["run"])["run"].get(what) for what in ["note", "tags"]), "they are kept")
    page.reload()
    expect(page.get_by_label("Note")).to_have_value("too wide for this learning rate")
    expect(page.get_by_label("Tags, separated by spaces")).to_have_value("looked-at paper")
    shot(page, "run-failed")
    newest = call("ListCode", sweep_id=SWEEP)["versions"][-1]["code"]["version"]
    done = next(run for run in reversed(listed) if run["state"] == "finished" and run.get("code") == newest)
    visit(page, f"/sweeps/{SWEEP}/runs/{done['run']}")
    expect(page.locator("#metrics-plot .main-svg").first).to_be_attached()
    expect(page.locator("#again")).to_contain_text(f"sweep reproduce {SWEEP}/{done['run']} --run")
    page.get_by_role("button", name="Diff to the commit").click()
    expect(page.locator("#code-diff .add", has_text="a mended loss")).to_be_visible()
    shot(page, "run")
    best = call("GetSweep", sweep_id=SWEEP)["sweep"]["best_run"]
    visit(page, f"/sweeps/{SWEEP}/compare?runs={best},{done['run']},{failed['run']}")
    expect(page.locator("tr.differs", has_text="lr")).to_be_visible()
    drawn(page, "curves")
    shot(page, "compare")


def agents(page):
    visit(page, "/agents")
    row = page.locator("tr[data-agent]", has_text="no usable device").first
    expect(row).to_be_visible()
    shot(page, "agents")
    row.get_by_role("button", name="Readmit").click()
    expect(page.locator("#toast")).to_contain_text("gets runs again")


def answers(page):
    """What somebody with only the page open wants to know."""
    visit(page, f"/sweeps/{SWEEP}")
    eventually(lambda: f"Run {call('GetSweep', sweep_id=SWEEP)['sweep']['best_run']}" in page.locator("#finding-best").inner_text(), "the best run is named")
    answers = {
        "which run is best": ("#finding-best", ["Run ", "val_loss", "lr="]),
        "and why": ("#finding-best", ["Suggested as"]),
        "which box is bad": ("#finding-machines", ["no usable device"]),
        "which region crashes": ("#finding-region", ["fail"]),
        "what changed between the versions": ("#finding-agreement", ["version 2", "version 1"]),
        "what to try next": ("#finding-next", ["."]),
    }
    for question, (place, words) in answers.items():
        expect(page.locator(place)).to_be_visible()
        text = page.locator(place).inner_text()
        assert all(word in text for word in words), f"{question}? {text}"
        print(f"{question}? {text}")


def hostile(page):
    visit(page, f"/sweeps/{HOSTILE}")
    shot(page, "hostile")
    for path in [f"/sweeps/{HOSTILE}", f"/sweeps/{HOSTILE}/runs/1", f"/sweeps/{HOSTILE}/compare?runs=1,2", "/", "/agents"]:
        visit(page, path)
        page.wait_for_timeout(500)
        assert page.evaluate("window.hurt") is None, path
        assert page.locator("main img, main iframe, main script, main a[href^='javascript:']").count() == 0, path
        text = page.locator("body").inner_text()
        disguised = re.search(".{0,40}[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b].{0,40}", text)
        assert not disguised, f"{path}: {disguised and disguised[0]!r}"
    visit(page, f"/sweeps/{HOSTILE}/runs/1")
    expect(page.locator("#output")).to_contain_text("<img src=x onerror=")


NAMED = {"button", "link", "textbox", "searchbox", "combobox", "slider", "checkbox", "spinbutton", "image", "Canvas", "table", "columnheader", "region"}


def listened_to(page):
    """What a screen reader is told: everything that can be used or looked at has a name, and headings leave no level out."""
    session = page.context.new_cdp_session(page)
    for path in ["/", "/agents", f"/sweeps/{SWEEP}", f"/sweeps/{SWEEP}/runs/1", f"/sweeps/{SWEEP}/compare?runs=1,2"]:
        visit(page, path)
        nodes = [node for node in session.send("Accessibility.getFullAXTree")["nodes"] if not node.get("ignored")]
        text = lambda node, key: node.get(key, {}).get("value", "")
        nameless = [node["backendDOMNodeId"] for node in nodes if text(node, "role") in NAMED and not text(node, "name").strip()]
        found = [session.send("DOM.describeNode", {"backendNodeId": id})["node"] for id in nameless]
        assert not found, (path, [(node["nodeName"], node.get("attributes")) for node in found])
        roles = [text(node, "role") for node in nodes]
        assert roles.count("main") == 1 and "navigation" in roles and roles.count("heading") > 0, (path, roles)
        levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((heading) => Number(heading.tagName[1]))")
        assert levels[0] == 1 and all(after - before <= 1 for before, after in zip(levels, levels[1:])), (path, levels)


def log_in(page):
    """The link is good once, and leads on to the page."""
    page.goto(BASE)
    expect(page.locator("h1")).to_have_text("Log in first")
    said.clear()
    page.goto(os.environ["SWEEP_PAGE"])
    expect(page.locator("#sweeps")).to_be_visible()
    again = page.context.browser.new_page()
    again.goto(os.environ["SWEEP_PAGE"])
    expect(again.locator("h1")).to_contain_text("used before")
    again.close()


def without_scripts(browser):
    page = browser.new_context(storage_state=SESSION, java_script_enabled=False, viewport={"width": 1200, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{BASE}/sweeps/{SWEEP}")
    for place in ["#finding-best", "#timeline-agents table", "#code table", "#failures details", "#table table"]:
        expect(page.locator(place).first).to_be_visible()
    picture(page, "without-scripts")
    page.context.close()


def narrow_and_dark(browser):
    context = browser.new_context(storage_state=SESSION, viewport={"width": 400, "height": 800}, color_scheme="dark")
    page = watch(context.new_page())
    visit(page, f"/sweeps/{SWEEP}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), "it is wider than the window"
    shot(page, "narrow-dark")
    context.close()
    wide = watch(browser.new_context(storage_state=SESSION, viewport={"width": 1500, "height": 900}, color_scheme="dark").new_page())
    visit(wide, f"/sweeps/{SWEEP}")
    shot(wide, "dark")
    wide.get_by_role("button", name="Light").click()
    expect(wide.locator("html")).to_have_attribute("data-theme", "light")


def on_a_phone(browser):
    """Nothing lies on a chart, names of axes are whole, the header says where one is, and the output is near the top."""
    page = watch(browser.new_context(storage_state=SESSION, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).new_page())
    visit(page, f"/sweeps/{SWEEP}")
    for id in ["history", "importance", "curves"]:
        place = drawn(page, id)
        expect(place.locator(".modebar-btn")).to_have_count(0)
        over = place.evaluate("(place) => { const legend = place.querySelector('.legend')?.getBoundingClientRect(); return legend ? legend.bottom - place.getBoundingClientRect().top - place._fullLayout._size.t : 0; }")
        assert over <= 2, f"the legend of {id} lies {over} px on the plot"
    names = page.locator("#parallel-plot .axis").evaluate_all("(names) => names.map((name) => [name.textContent, name.scrollWidth - name.clientWidth, name.scrollHeight - name.clientHeight])")
    assert names and all(across <= 1 and down <= 1 for _, across, down in names), names
    shot(page, "phone")
    visit(page, f"/sweeps/{SWEEP}/runs/1")
    trail = page.locator(".top nav > a").last
    expect(trail).to_have_text("run 1")
    box, tools = trail.bounding_box(), page.locator(".top .tools").bounding_box()
    assert box["width"] > 30 and box["x"] + box["width"] <= tools["x"] + 1, (box, tools)
    assert page.evaluate("document.querySelector('#log').getBoundingClientRect().top < document.querySelector('#metrics').getBoundingClientRect().top")
    shot(page, "phone-run")
    page.context.close()


with sync_playwright() as playwright:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
    page = watch(browser.new_context(viewport={"width": 1400, "height": 900}, accept_downloads=True).new_page())
    log_in(page)
    SESSION = page.context.storage_state()
    for step in [sweeps, pictures, brush, filters, what_if, acts, marks, code, answers, timeline, runs, agents, listened_to, hostile]:
        print(f"- {step.__name__}", flush=True)
        step(page)
        is_well()
    without_scripts(browser)
    narrow_and_dark(browser)
    on_a_phone(browser)
    is_well()
    browser.close()
print("all is well")
