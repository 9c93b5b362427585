"""A callback of Hugging Face's trainer: ``Trainer(callbacks=[SweepCallback()])``."""

from __future__ import annotations

from typing import Any, Dict, Optional

from transformers import TrainerCallback

from . import _context, _numbers
from ._program import report


class SweepCallback(TrainerCallback):
    """Reports what the trainer logs (``loss``, ``eval_loss``, …), and ends the training when early stopping says so.

    The step is the global step. All ranks end at the same step. Needs no agent: outside of a sweep the metrics are printed.
    """

    def on_log(self, args: Any, state: Any, control: Any, logs: Optional[Dict[str, Any]] = None, **_: Any) -> None:
        """Part of the trainer's interface."""
        answer = report(_numbers.known(logs or {}), step=state.global_step)
        if _context.agreed(answer):
            control.should_training_stop = True
