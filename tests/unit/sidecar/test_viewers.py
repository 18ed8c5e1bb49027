"""Several at one terminal: sizes, roles, and who is told what. No server here; `test_company` has one."""

from __future__ import annotations

from codesessions_sidecar.viewers import Seat, Size, Viewers, smallest
from hypothesis import given
from hypothesis import strategies as st

SIZES = st.tuples(st.integers(1, 10_000), st.integers(1, 10_000))


@given(st.lists(SIZES))
def test_the_smallest_fits_into_all_and_could_not_be_larger(sizes: list[Size]) -> None:
    found = smallest(sizes)
    if found is None:
        assert sizes == []
        return
    assert all(found[0] <= rows and found[1] <= columns for rows, columns in sizes)
    assert any(found[0] == rows for rows, _ in sizes)
    assert any(found[1] == columns for _, columns in sizes)


def test_the_size_follows_those_who_write() -> None:
    told: list[Size] = []
    viewers = Viewers(lambda rows, columns: told.append((rows, columns)), lambda: None)
    wide, high, looker = Seat("raw", True), Seat("ttyd", True), Seat("raw", False)
    for seat in (wide, high, looker):
        viewers.enter(seat)
    viewers.resize(wide, (24, 200))
    viewers.resize(high, (60, 80))
    viewers.resize(looker, (1, 1))
    assert told == [(24, 200), (24, 80)]
    viewers.leave(looker)
    assert told == [(24, 200), (24, 80)], "one without a size changes nothing"
    viewers.leave(wide)
    assert told[-1] == (60, 80), "there is room again"
    viewers.leave(high)
    assert told[-1] == (60, 80), "the last size stays"
    assert len(viewers) == 0
    assert viewers.by_dialect() == {"raw": 0, "ttyd": 0}


def test_bytes_of_those_who_have_gone_are_counted_on() -> None:
    viewers = Viewers(lambda _rows, _columns: None, lambda: None)
    first, second, other = Seat("raw", True), Seat("raw", False), Seat("ttyd", True)
    for seat in (first, second, other):
        viewers.enter(seat)
    first.bytes_in, first.bytes_out, second.bytes_out, other.bytes_in = 1, 10, 100, 1000
    viewers.leave(first)
    viewers.leave(other)
    assert viewers.bytes_in["raw"] == 1
    assert viewers.bytes_in["ttyd"] == 1000
    assert viewers.bytes_out["raw"] == 110
