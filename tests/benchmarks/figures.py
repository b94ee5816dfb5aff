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


def compare(what: str, unit: str, samples: Mapping[str, Sequence[float]]) -> Figure:
    """Compare `samples["ours"]` with `samples["reference"]`, taken in turn; the spread is half the interquartile range."""
    ours, reference = samples["ours"], samples["reference"]
    ratios = [a / b for a, b in zip(ours, reference, strict=True) if b]
    quarters = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [0.0, 0.0, 0.0]
    return Figure(
        what,
        unit,
        statistics.median(ours),
        statistics.median(reference),
        statistics.median(ratios) if ratios else float("nan"),
        (quarters[2] - quarters[0]) / 2,
        len(ours),
    )


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which *share* (0 to 1) of the samples lie."""
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * share))]
