"""The sweeper ``sweep`` as Hydra finds it: Hydra imports all modules of this namespace at each start."""

from sweep import hydra


class SweepSweeper(hydra.SweepSweeper):
    """The sweeper of :mod:`sweep.hydra`: Hydra takes classes that this namespace defines alone."""
