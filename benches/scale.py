"""What large sweeps cost the controller: CPU seconds and how long its writer is held. Needs nothing but Python and the release binary.

    cargo build --release
    python3 benches/scale.py target/release/sweep edit pages curves sweeps
"""

import json
import os
import pathlib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

SPACE = "method: {method}\nprogram: train\nmetric: {{name: loss}}\nparameters: {{x: {{min: 1, max: {max}}}, lr: {{min: 0.0, max: 1.0}}}}\n"


class Controller:
    def __init__(self, binary):
        self.binary = str(pathlib.Path(binary).resolve())
        self.folder = tempfile.TemporaryDirectory(prefix="sweep-scale-")
        self.dir = pathlib.Path(self.folder.name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        home = {name: self.folder.name for name in ("HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")}
        self.env = {**os.environ, **home, "SWEEP_CONTROLLER": f"http://127.0.0.1:{self.port}", "SWEEP_LOG": "warn"}
        self.env.pop("SWEEP_TOKEN", None)
        self.start()

    def start(self):
        arguments = [self.binary, "controller", "--no-token", "--listen", f"127.0.0.1:{self.port}", "--data-dir", str(self.dir / "data")]
        self.process = subprocess.Popen(arguments, env=self.env)
        while True:
            try:
                self.get("/healthz")
                return
            except OSError:
                time.sleep(0.05)

    def stop(self):
        self.sweep("controller", "stop")
        self.process.wait()

    def sweep(self, *arguments, text=None):
        done = subprocess.run([self.binary, *arguments], env=self.env, input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, method, maximum):
        path = self.dir / f"{method}-{maximum}.yaml"
        path.write_text(SPACE.format(method=method, max=maximum))
        return self.sweep("create", str(path)).strip(), str(path)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}") as answer:
            return answer.read()

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def holds(self):
        lines = self.get("/metrics").decode().splitlines()
        found = (line.split("le=\"")[1].split("\"} ") for line in lines if line.startswith("sweep_writer_hold_seconds_bucket"))
        return {bound: int(count) for bound, count in found}

    def database(self):
        return sqlite3.connect(self.dir / "data" / "sweep.db", timeout=60)

    def each(self, path, times):
        self.get(path)
        before = self.cpu()
        for _ in range(times):
            size = len(self.get(path))
        print(f"  GET {path}: {(self.cpu() - before) / times * 1000:.1f} ms of CPU, {size / 1024:.0f} KiB", flush=True)


def edit(controller, runs=int(os.environ.get("RUNS", 100_000))):
    print(f"edit: {runs} queued runs")
    sweep, _ = controller.create("external", runs)
    for first in range(1, runs + 1, 5_000):
        lines = (json.dumps({"params": {"x": x, "lr": 0.5}}) for x in range(first, first + 5_000))
        controller.sweep("offer", sweep, "-", text="\n".join(lines))
    database = controller.database()
    for maximum, what in ((runs - 1, "one is withdrawn"), (10, "nearly all are withdrawn")):
        path = controller.dir / "edited.yaml"
        path.write_text(SPACE.format(method="external", max=maximum))
        before, cpu, began = controller.holds(), controller.cpu(), time.monotonic()
        controller.sweep("edit", sweep, str(path), "--yes")
        answered = time.monotonic() - began
        while database.execute("SELECT count(*) FROM stale_rows").fetchone()[0]:
            time.sleep(0.05)
        after = controller.holds()
        long = {bound: after[bound] - before[bound] for bound in after}
        over = long["+Inf"] - long["0.1"]
        print(f"  {what}: {controller.cpu() - cpu:.2f} s of CPU, answered after {answered:.2f} s, rows after {time.monotonic() - began:.2f} s; "
              f"holds over 100 ms: {over}, over 50 ms: {long['+Inf'] - long['0.05']}", flush=True)


def pages(controller, runs=int(os.environ.get("RUNS", 1_000_000))):
    print(f"pages: {runs} runs in a sweep")
    sweep, _ = controller.create("random", runs)
    for first in range(1, runs + 1, 50_000):
        lines = []
        for x in range(first, first + 50_000):
            params = {"x": x, "lr": (x * 7919 % 10_007) / 10_007}
            result = {"failure": f"exit status 1: line {x % 90}"} if x % 20 == 0 else {"value": (x * 104_729 % 1_000_003) / 1_000_003}
            lines.append(json.dumps({"params": params, **result}))
        controller.sweep("import", sweep, "-", text="\n".join(lines))
    for path in (f"/sweeps/{sweep}", f"/sweeps/{sweep}/data.json", "/", "/metrics"):
        controller.each(path, 10)
    began, cpu = time.monotonic(), controller.cpu()
    listed = subprocess.run(f"{controller.binary} runs {sweep} --json | head -1 | wc -c", shell=True, env=controller.env, capture_output=True, text=True)
    print(f"  first line of `sweep runs --json` after {time.monotonic() - began:.2f} s ({listed.stdout.strip()} bytes), {controller.cpu() - cpu:.2f} s of CPU")


def curves(controller, points=1_000_000, metrics=20):
    print(f"curves: {points} points of {metrics} metrics")
    sweep, _ = controller.create("random", 10)
    asked = json.loads(controller.sweep("ask", sweep))
    rows = ((sweep, asked["run"], 1, seq, f"metric {seq % metrics}", seq // metrics, 1_700_000_000_000 + seq, seq / points) for seq in range(points))
    with controller.database() as database:
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    path = f"/sweeps/{sweep}/runs/{asked['run']}/series.json"
    controller.each(path, 3)
    found = json.loads(controller.get(path))
    last = points // metrics - 1
    assert len(found) == metrics and all(curve["steps"][0] == 0 and curve["steps"][-1] == last for curve in found.values())
    print(f"  {len(found)} curves of {min(len(curve['values']) for curve in found.values())} points, from step 0 to {last}")


def sweeps(controller, number=10_000):
    print(f"sweeps: {number}")
    sweep, _ = controller.create("random", 100)
    lines = (json.dumps({"params": {"x": x, "lr": x / 100}, "value": 1 / x}) for x in range(1, 101))
    controller.sweep("import", sweep, "-", text="\n".join(lines))
    controller.stop()
    # Rows alone: the pages read nothing else.
    with controller.database() as database:
        for table in ("sweeps", "runs"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            id_column = "id" if table == "sweeps" else "sweep"
            values = ", ".join("printf('s%07d', number)" if name == id_column else f"row.{name}" for name in columns)
            if table == "sweeps":
                values = values.replace("row.body", "replace(row.body, ?1, printf('s%07d', number))")
            database.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) WITH RECURSIVE numbers(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers "
                f"WHERE number < {number}) SELECT {values} FROM numbers, {table} AS row WHERE row.{id_column} = ?1", [sweep])
    controller.start()
    for path in ("/", "/?page=50", "/metrics"):
        controller.each(path, 20)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        controller = Controller(sys.argv[1])
        try:
            {"edit": edit, "pages": pages, "curves": curves, "sweeps": sweeps}[name](controller)
        finally:
            controller.process.kill()
            controller.process.wait()
