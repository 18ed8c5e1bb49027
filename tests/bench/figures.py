"""Figures of a benchmark: percentiles, and a line a person can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; `share` from 0 to 1. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def summary(name: str, seconds: Sequence[float]) -> str:
    """`name: p50 1.2 ms, p90 ..., min ..., max ... (n=...)`, in milliseconds."""
    points = ("p50", 0.5), ("p90", 0.9), ("p99", 0.99)
    parts = [f"{label} {percentile(seconds, share) * 1000:.1f}" for label, share in points]
    extremes = f"min {min(seconds) * 1000:.1f}, max {max(seconds) * 1000:.1f} ms"
    return f"{name}: {', '.join(parts)}, {extremes} (n={len(seconds)})"


def table(columns: Mapping[str, Mapping[str, float]]) -> str:
    """Figures as a table: a row for every kind, a column for whoever was measured."""
    shown = {name: values for name, values in columns.items() if values}
    kinds = list(dict.fromkeys(kind for values in shown.values() for kind in values))
    lines = [f"{'':28}" + "".join(f"{name:>12}" for name in shown)]
    for kind in kinds:
        cells = (f"{values[kind]:12.2f}" if kind in values else f"{'':12}" for values in shown.values())
        lines.append(f"{kind:28}" + "".join(cells))
    return "\n".join(lines)


class Verdicts:
    """Targets, and whether they are met."""

    def __init__(self) -> None:
        self.met = True
        self._lines: list[str] = []

    def at_least(self, what: str, value: float, target: float) -> None:
        self._note(what, value, f">= {target:g}", value >= target)

    def at_most(self, what: str, value: float, target: float) -> None:
        self._note(what, value, f"<= {target:g}", value <= target)

    def _note(self, what: str, value: float, target: str, met: bool) -> None:
        self.met &= met
        self._lines.append(f"{'met   ' if met else 'MISSED'}  {what}: {value:.2f} ({target})")

    def text(self) -> str:
        """One line for every target."""
        return "\n".join(self._lines)
