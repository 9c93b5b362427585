"""Callbacks of Lightning and Hugging Face, with the real packages, alone and under an agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest

import sweep
from conftest import needs, run_python

LIGHTNING = """
import lightning, torch, sweep
from sweep.lightning import SweepCallback

class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, index):
        return self.layer(batch).pow(2).mean()

    def validation_step(self, batch, index):
        self.log("val_loss", float(sweep.params(x=2).x) + 0 * batch.mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

data = torch.utils.data.DataLoader(torch.ones(4, 1))
trainer = lightning.Trainer(
    max_epochs=2 if ALONE else 3 if sweep.params(x=2).x == 1 else 300, callbacks=[SweepCallback()], logger=False, accelerator="cpu",
    enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
)
trainer.fit(Module(), data, data)
open("ends", "a").write(f"{trainer.current_epoch}\\n")
"""

HUGGINGFACE = """
import sweep, torch, transformers
from sweep.huggingface import SweepCallback

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, x, labels=None):
        return {"loss": 0 * self.layer(x).mean() + float(sweep.params(x=2).x), "logits": x}

data = [{"x": torch.ones(1), "labels": torch.ones(1)}] * 4
arguments = transformers.TrainingArguments(
    "out", num_train_epochs=2 if ALONE else 3 if sweep.params(x=2).x == 1 else 300, eval_strategy="epoch", save_strategy="no",
    report_to=[], disable_tqdm=True, use_cpu=True, per_device_train_batch_size=4,
)
trainer = transformers.Trainer(Model(), arguments, train_dataset=data, eval_dataset=data, callbacks=[SweepCallback()])
trainer.train()
open("ends", "a").write(f"{round(trainer.state.epoch)}\\n")
"""
CASES = [("lightning", LIGHTNING, "val_loss"), ("transformers", HUGGINGFACE, "eval_loss")]


@pytest.mark.parametrize(("module", "program", "metric"), CASES)
def test_alone_the_metrics_are_printed(module: str, program: str, metric: str, place: Path) -> None:
    needs(module)
    ended = run_python(program.replace("ALONE", "True"), CUDA_VISIBLE_DEVICES="")
    assert ended.returncode == 0, ended.stderr
    records = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"step"')]
    values: List[Any] = [record[metric] for record in records if metric in record]
    assert values == [2.0, 2.0]


@pytest.mark.parametrize(("module", "program", "metric"), CASES)
def test_early_stopping_ends_the_training(module: str, program: str, metric: str, place: Path, binary: str) -> None:
    needs(module)
    (place / "train.py").write_text(program.replace("ALONE", "False"))
    s = sweep.create(
        {
            "method": "grid",
            "metric": {"name": metric, "goal": "minimize"},
            "command": [sys.executable, "train.py"],
            "early_terminate": {"type": "asha", "min_iter": 2, "eta": 2},
            "parameters": {"x": {"values": [1, 2]}},
        }
    )
    subprocess.run([binary, "agent", s.id, "--slots", "1"], env=dict(os.environ), capture_output=True, timeout=200, check=True)
    assert [run.state for run in s.runs()] == ["finished", "stopped"]
    first, second = map(int, (place / "ends").read_text().split())
    assert first == 3 and second < 300
    assert s.get_run(1).value == 1.0


RANK = """
import os, sys, torch, sweep
from sweep import _context

torch.distributed.init_process_group("gloo", init_method="file://" + os.path.abspath("meet"), rank=int(sys.argv[1]), world_size=2)
answer = sweep.report(step=1, loss=torch.tensor(float(sys.argv[1])))
# Each rank would read the file; rank 1 is told what rank 0 has read.
stops = bool(answer) if sys.argv[1] == "0" else False
print(_context.agreed(stops), _context.rank())
"""


def test_all_ranks_have_the_answer_of_rank_0(place: Path) -> None:
    needs("torch")
    (place / "rank.py").write_text(RANK)
    for name, text in (("params", "{}"), ("stop", "band 1")):
        (place / name).write_text(text)
    variables = dict(os.environ, SWEEP_PARAMS="params", SWEEP_METRICS="metrics", SWEEP_STOP="stop")
    ranks = [
        subprocess.Popen([sys.executable, "rank.py", str(rank)], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    said = [rank.communicate(timeout=100) for rank in ranks]
    assert [out for out, _ in said] == ["True 0\n", "True 1\n"], said
    assert (place / "metrics").read_text() == '{"step": 1, "loss": 0.0}\n'
