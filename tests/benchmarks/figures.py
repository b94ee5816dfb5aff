"""What a measurement says: medians and spread of ours and of a reference in the same run, and their ratio."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `ratio` is the median of the ratios round by round."""

    what: str
    unit: str
    ours: float
    reference: float
    ratio: float
    spread: float
    rounds: int

    def row(self) -> str:
        """Return the line in Markdown."""
        return (
            f"| {self.what} | {self.ours:.3g} {self.unit} | {self.reference:.3g} {self.unit} "
            f"| **{self.ratio:.2f}** ± {self.spread:.2f} | {self.rounds} |"
        )


@dataclass(frozen=True, slots=True)
class Against:
    """One series beside a reference that was taken in turn with it: medians, and of the rounds' ratios half the interquartile range."""

    value: float
    added: float  # the median of the differences round by round
    ratio: float
    spread: float


def against(samples: Sequence[float], reference: Sequence[float]) -> Against:
    """Compare two series of the same rounds."""
    pairs = list(zip(samples, reference, strict=True))
    ratios = [one / other for one, other in pairs if other]
    quarters = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [0.0, 0.0, 0.0]
    return Against(
        statistics.median(samples),
        statistics.median(one - other for one, other in pairs),
        statistics.median(ratios) if ratios else float("nan"),
        (quarters[2] - quarters[0]) / 2,
    )


def compare(what: str, unit: str, samples: Mapping[str, Sequence[float]]) -> Figure:
    """Compare `samples["ours"]` with `samples["reference"]`, taken in turn."""
    ours, reference = samples["ours"], samples["reference"]
    found = against(ours, reference)
    return Figure(what, unit, found.value, statistics.median(reference), found.ratio, found.spread, len(ours))


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which *share* (0 to 1) of the samples lie."""
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * share))]


def number(value: float) -> str:
    """Write a number with the digits that a person wants to see."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
