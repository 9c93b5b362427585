"""The calls of a training program: parameters in, metrics out."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Type, TypeVar, overload

from . import _context, _numbers

T = TypeVar("T")


class Stopped(Exception):
    """Early stopping ends the run: save what is needed and return.

    A program that lets it pass ends as it should: the run counts as stopped, and not as failed.
    """


class StopAnswer:
    """The answer of :func:`report`: true when the run has to end early.

    A program that looks at it, as ``if sweep.report(…): break`` does, has time to end by itself (``--grace``). One that never does is ended by
    SIGTERM, as if it had not used this module.
    """

    __slots__ = ("_context",)

    def __init__(self, context: _context.Context) -> None:
        self._context = context

    @property
    def reason(self) -> Optional[str]:
        """The reason why the run has to end early, in words; ``None``: it continues."""
        self._context.watch_stop()
        return self._context.stop_reason()

    def __bool__(self) -> bool:
        return self.reason is not None

    def __repr__(self) -> str:
        return f"StopAnswer({self.reason!r})"


@overload
def params(shape: Type[T], /) -> T: ...


@overload
def params(shape: T, /) -> T: ...


@overload
def params(**defaults: Any) -> Any: ...


def params(shape: Any = None, /, **defaults: Any) -> Any:
    """Returns the parameters of the run.

    Values take the type of their default: ``3`` for the default ``1.0`` is ``3.0``, and the text ``"1e-5"`` is ``1e-05``. A parameter of the sweep
    with dots in its name (``optimizer.lr``) leads into nested defaults. Outside of a sweep all parameters have their defaults.

    Args:
        shape: A dataclass, an instance of one with defaults, or a ``TypedDict``. Positional.
        **defaults: The default of each parameter, in place of a shape. Parameters of the sweep that are not here are in the result, too.

    Returns:
        An instance of the dataclass, a dictionary for a ``TypedDict``, else a dictionary whose keys are attributes, too.

    Raises:
        sweep.ParamsError: A value does not fit the type, or a field has neither a value nor a default.

    >>> p = params(lr=0.1, layers=[64, 64])
    >>> p.lr, p["layers"]
    (0.1, [64, 64])
    """
    from ._params import read

    return read(_context.current().params, shape, defaults, _context.current().is_sweep)


def report(
    named: Optional[Mapping[str, Any]] = None,
    /,
    *,
    step: Optional[int] = None,
    stop: str = "return",
    **metrics: Any,
) -> StopAnswer:
    """Reports metrics, and returns whether the run has to end early.

    Values are numbers, also tensors with one element, scalars of numpy, ``Decimal``, ``Fraction``. In a distributed training only the process of
    rank 0 reports; look at its answer there and broadcast it, so that all ranks end at the same step. Outside of a sweep the metrics are printed.

    Args:
        named: Metrics by name, for names that are no identifiers (``"val/loss"``). Positional. Nested ones get dots.
        step: The step, epoch or iteration; by default the number of reports with the metric so far.
        stop: ``"return"`` (the default), or ``"raise"``: raise :class:`Stopped` when the run has to end early.
        **metrics: Metrics by name.

    Returns:
        An answer that is true when the run has to end early; ``.reason`` says why.

    Raises:
        sweep.Stopped: With ``stop="raise"``, the run has to end early.
        TypeError: A value is no number.

    >>> if report(step=3, val_loss=0.25):
    ...     print("stopped early")
    {"step": 3, "val_loss": 0.25}
    """
    context = _context.current()
    values = _numbers.flat(metrics)
    if named:
        values.update(_numbers.flat(named))
    if step is not None and type(step) is not int:
        step = int(_numbers.number("step", step))
    if values:
        context.write(step, values)
    answer = StopAnswer(context)
    if stop == "raise":
        reason = answer.reason
        if reason is not None:
            raise Stopped(reason)
    elif stop != "return":
        raise ValueError(f'stop={stop!r}: it is "return" or "raise"')
    return answer


def done(named: Optional[Mapping[str, Any]] = None, /, **metrics: Any) -> None:
    """Reports the final metrics of a program that has no curve.

    Args:
        named: Metrics by name, for names that are no identifiers. Positional.
        **metrics: Metrics by name.

    Raises:
        TypeError: A value is no number.

    >>> done(score=0.93)
    {"score": 0.93}
    """
    report(named, **metrics)
