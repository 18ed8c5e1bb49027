"""Figures for Prometheus, in its text format (exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codesessions_sidecar.terminal import Terminal

_PREFIX = "codesessions_pty_"


def render(terminal: Terminal) -> str:
    """All of a terminal's figures."""
    spool, journal, viewers = terminal.spool, terminal.journal, terminal.viewers
    last = spool.last_seq
    lags = [spool.distance(seat.after, last) for seat in viewers.seats]
    return "".join(
        [
            _one("output_bytes_total", "counter", "Bytes the shell has printed.", spool.head),
            _one("chunks_total", "counter", "Chunks they were cut into.", last),
            _one("input_bytes_total", "counter", "Bytes accepted to be typed.", journal.end),
            _one("input_waiting_bytes", "gauge", "Bytes not yet typed.", journal.waiting),
            _one("input_refused_total", "counter", "Inputs refused because the queue was full.", terminal.refused),
            _one("viewers", "gauge", "Viewers attached.", len(viewers)),
            _one("writers", "gauge", "Viewers attached who may type.", viewers.writers),
            _one("lag_bytes", "gauge", "How far the slowest viewer is behind.", max(lags, default=0)),
            _one("launcher_connected", "gauge", "Whether the shell's launcher is there.", int(terminal.connected)),
            _many("viewers_attached_total", "Viewers that have come.", "dialect", viewers.attached),
            _many("viewers_by_dialect", "Viewers attached.", "dialect", viewers.by_dialect(), kind="gauge"),
            _many("viewer_in_bytes_total", "Bytes of viewers' messages.", "dialect", viewers.bytes_in),
            _many("viewer_out_bytes_total", "Bytes of messages to viewers.", "dialect", viewers.bytes_out),
            _many("viewer_truncations_total", "Times that a viewer missed output.", "dialect", viewers.truncated),
            _many("viewers_dropped_total", "Viewers lost or turned out.", "why", viewers.dropped),
        ]
    )


def _one(name: str, kind: str, help_text: str, value: int) -> str:
    return _family(name, kind, help_text, [("", value)])


def _many(name: str, help_text: str, label: str, values: Mapping[str, int], *, kind: str = "counter") -> str:
    return _family(name, kind, help_text, [(f'{{{label}="{key}"}}', values[key]) for key in sorted(values)])


def _family(name: str, kind: str, help_text: str, samples: Iterable[tuple[str, int]]) -> str:
    lines = [f"# HELP {_PREFIX}{name} {help_text}", f"# TYPE {_PREFIX}{name} {kind}"]
    lines += [f"{_PREFIX}{name}{labels} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"
