"""The layer: deterministic, whole, and of nothing but the folder."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import tarfile
import zlib
from pathlib import Path

import pytest
from codesessions_builder.errors import BuildError
from codesessions_builder.layer import Layer, time_of


def made(root: Path, **options: int) -> tuple[Layer, bytes]:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        layer = Layer(folder, "/srv/app", 7, **options)
        return layer, b"".join(layer)
    finally:
        os.close(folder)


def entries(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {entry.name: entry for entry in tar}


def test_names_are_sorted_and_of_a_file_only_content_and_x_count(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run").write_text("x")
    (tmp_path / "a" / "run").chmod(0o4711)
    (tmp_path / "link").symlink_to("/usr/bin/python3")
    _, first = made(tmp_path)
    os.utime(tmp_path / "b", (1, 1))
    (tmp_path / "b").chmod(0o600)
    layer, second = made(tmp_path)
    assert first == second
    found = entries(first)
    assert list(found) == ["srv", "srv/app", "srv/app/a", "srv/app/a/run", "srv/app/b", "srv/app/link"]
    assert (found["srv/app/a/run"].mode, found["srv/app/b"].mode) == (0o755, 0o644)
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in found.values()} == {(0, 0, "", 7)}
    assert found["srv/app/link"].linkname == "/usr/bin/python3"
    assert layer.size == len(second)
    assert layer.digest == "sha256:" + hashlib.sha256(second).hexdigest()
    assert layer.diff_id == "sha256:" + hashlib.sha256(zlib.decompress(second, 31)).hexdigest()


def test_what_is_no_file_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        assert list(entries(made(tmp_path)[1])) == ["srv", "srv/app"]


@pytest.mark.parametrize("name", [".wh.passwd", ".wh..wh..opq"])
def test_nothing_of_the_base_can_be_deleted(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / name).touch()
    with pytest.raises(BuildError, match="delete files of the base"):
        made(tmp_path)


def test_too_much_is_named(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 100)
    with pytest.raises(BuildError, match="'srv/app/big'"):
        made(tmp_path, most=99)


def test_too_deep_is_told(tmp_path: Path) -> None:
    (tmp_path / "/".join(["d"] * 120)).mkdir(parents=True)
    with pytest.raises(BuildError, match="folders deep"):
        made(tmp_path)


def test_a_file_that_shrinks_meanwhile_fails(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(4 << 20))
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    parts = iter(Layer(folder, "app"))
    next(parts)
    os.truncate(tmp_path / "a", 10)
    with pytest.raises(BuildError, match="changed"):
        list(parts)
    os.close(folder)


def test_times_differ_with_the_source() -> None:
    one, other = (time_of("sha256:" + digit * 64) for digit in "12")
    assert one != other
    assert min(one, other) >= 1_262_304_000
    assert time_of("sha256:" + "f" * 64) < 1_600_000_000
