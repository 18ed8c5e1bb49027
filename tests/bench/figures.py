"""Figures of a benchmark: percentiles, and a line a person can read."""

from __future__ import annotations

from collections.abc import Sequence


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
