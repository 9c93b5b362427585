"""A callback of Lightning: ``Trainer(callbacks=[SweepCallback()])``."""

from __future__ import annotations

from typing import Any

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:
    from pytorch_lightning.callbacks import Callback

from . import _context, _numbers
from ._program import report


class SweepCallback(Callback):
    """Reports the metrics of each epoch that the module logs, and ends the training when early stopping says so.

    The step is the number of the epoch, from 0. All ranks end at the same epoch. Needs no agent: outside of a sweep the metrics are printed.
    """

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Part of Lightning's interface."""
        answer = report(_numbers.known(trainer.callback_metrics), step=trainer.current_epoch)
        if _context.agreed(answer):
            trainer.should_stop = True
