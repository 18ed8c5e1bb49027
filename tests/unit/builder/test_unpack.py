"""Archives that lie, and those that do not."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import tempfile
import zipfile
from pathlib import Path

import pytest
from codesessions_builder.errors import BuildError
from codesessions_builder.unpack import Limits, unpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.faults import scaled


def archive(*entries: tuple[str, bytes, int], deflate: bool = False) -> io.BytesIO:
    """Entries of name, content and mode."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as made:
        for name, content, mode in entries:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            info.compress_type = made.compression
            made.writestr(info, content)
            made.NameToInfo.clear()  # or it would warn of what a test does on purpose
    return out


FILE, EXECUTABLE, LINK = stat.S_IFREG | 0o644, stat.S_IFREG | 0o755, stat.S_IFLNK | 0o777


def run(data: io.BytesIO, target: Path, limits: Limits | None = None) -> None:
    target.mkdir(parents=True, exist_ok=True)
    folder = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        unpack(data, folder, limits or Limits())
    finally:
        os.close(folder)


def refusal(data: io.BytesIO, tmp_path: Path, limits: Limits | None = None) -> BuildError:
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(BuildError) as caught:
        run(data, tmp_path / "target", limits)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "target") == before, "nothing outside"
    return caught.value


def test_files_folders_modes_and_links_come_out(tmp_path: Path) -> None:
    data = archive(
        ("sub/", b"", stat.S_IFDIR | 0o700),
        ("sub/a", b"hello", FILE),
        ("run", b"x", stat.S_IFREG | 0o4711),
        ("sub/up", b"../run", LINK),
        ("plain", b"", 0),
    )
    run(data, tmp_path / "t")
    assert (tmp_path / "t/sub/a").read_bytes() == b"hello"
    assert stat.S_IMODE((tmp_path / "t/run").stat().st_mode) == 0o755
    assert (tmp_path / "t/sub/up").readlink() == Path("../run")
    assert (tmp_path / "t/plain").exists()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "./x", "a//x", "..", "a\\..\\x", "a/../../x", "nul\0x", ""])
def test_a_path_out_of_the_tree_is_refused(tmp_path: Path, name: str) -> None:
    assert refusal(archive((name, b"x", FILE)), tmp_path).code == "source_invalid"


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../../x", "a/../b", "", "a\0b"])
def test_a_link_out_of_the_tree_is_refused(tmp_path: Path, target: str) -> None:
    error = refusal(archive(("link", target.encode(), LINK)), tmp_path)
    assert error.code == "source_invalid"


@pytest.mark.parametrize(
    "entries",
    [
        [("a", b"1", FILE), ("a", b"2", FILE)],
        [("a", b"1", FILE), ("a/b", b"2", FILE)],
        [("a/b", b"1", FILE), ("a", b"2", FILE)],
        [("a", b"b", LINK), ("a", b"2", FILE)],
        [("a", b"b", LINK), ("a/c", b"2", FILE)],
        [("a/", b"", FILE), ("a", b"2", FILE)],
    ],
)
def test_one_name_for_two_things_is_refused(tmp_path: Path, entries: list[tuple[str, bytes, int]]) -> None:
    assert refusal(archive(*entries), tmp_path).code == "source_invalid"


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_are_refused(tmp_path: Path, kind: int) -> None:
    assert refusal(archive(("dev", b"", kind | 0o666)), tmp_path).code == "source_invalid"


def test_a_bomb_is_stopped_while_it_inflates(tmp_path: Path) -> None:
    data = archive(("bomb", b"\0" * 50_000_000, FILE), deflate=True)
    assert data.getbuffer().nbytes < 100_000
    error = refusal(data, tmp_path, Limits(file=1_000_000))
    assert (error.code, "'bomb'" in str(error)) == ("file_too_large", True)
    assert (tmp_path / "target/bomb").stat().st_size <= 1_000_000
    both = archive(("a", b"\0" * 900_000, FILE), ("b", b"\0" * 900_000, FILE), deflate=True)
    assert refusal(both, tmp_path / "target", Limits(total=1_000_000)).code == "source_too_large"


def test_a_size_that_is_not_told_truly_changes_nothing(tmp_path: Path) -> None:
    data = bytearray(archive(("bomb", b"\0" * 5_000_000, FILE), deflate=True).getvalue())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 10)  # "ten bytes"
    with pytest.raises(BuildError):
        run(io.BytesIO(bytes(data)), tmp_path / "t", Limits(file=1_000_000))
    assert (tmp_path / "t/bomb").stat().st_size <= 1_000_000


def test_too_many_entries_are_refused_before_they_are_listed(tmp_path: Path) -> None:
    data = archive(*((f"{number}", b"", FILE) for number in range(20)))
    assert refusal(data, tmp_path, Limits(entries=19)).code == "too_many_entries"
    assert not list((tmp_path / "target").iterdir())


def test_damage_is_told(tmp_path: Path) -> None:
    whole = archive(("a", b"hello" * 100, FILE), ("b", b"x", FILE)).getvalue()
    damaged = bytearray(whole)
    damaged[60] ^= 1
    for data in (b"", b"x" * 100, whole[:-10], whole[: len(whole) // 2], bytes(damaged)):
        with pytest.raises(BuildError) as caught:
            run(io.BytesIO(data), tmp_path / f"t{len(data)}{hash(data) & 1023}")
        assert caught.value.code == "source_invalid"


def test_encrypted_entries_are_refused(tmp_path: Path) -> None:
    data = bytearray(archive(("a", b"x", FILE)).getvalue())
    at = data.rfind(b"PK\x01\x02")
    data[at + 8] |= 1
    data[6] |= 1
    assert refusal(io.BytesIO(bytes(data)), tmp_path).code == "source_invalid"


PARTS = st.lists(st.sampled_from(["a", "b", "..", ".", "", "c\\d", "é"]), min_size=1, max_size=4).map("/".join)
ENTRIES = st.lists(st.tuples(PARTS, st.binary(max_size=20), st.sampled_from([FILE, EXECUTABLE, LINK])), max_size=6)


@given(ENTRIES, st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=3))
@settings(max_examples=scaled(100, 300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_stays_in_the_folder(
    tmp_path: Path, entries: list[tuple[str, bytes, int]], flips: list[tuple[int, int]]
) -> None:
    data = bytearray(archive(*entries).getvalue())
    for at, value in flips:
        data[at % len(data)] = value
    with tempfile.TemporaryDirectory(dir=tmp_path) as place:
        with contextlib.suppress(BuildError):
            run(io.BytesIO(bytes(data)), Path(place) / "deep" / "target")
        assert [path.name for path in Path(place).iterdir()] == ["deep"]
        assert [path.name for path in (Path(place) / "deep").iterdir()] == ["target"]
        for path in (Path(place) / "deep" / "target").rglob("*"):
            assert path.resolve().is_relative_to(Path(place).resolve() / "deep" / "target")
