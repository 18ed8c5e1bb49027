"""The form of the zip, as others read it."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from codesessions_sidecar.archive import zipwriter
from codesessions_sidecar.archive.zipwriter import SAMPLE, ZipWriter, is_hard
from hypothesis import given
from hypothesis import strategies as st


def archive(files: dict[str, bytes], pieces: int = 1 << 16) -> bytes:
    out = io.BytesIO()
    writer = ZipWriter(lambda data: out.write(data) and None)
    for name, data in files.items():
        content = writer.file(name, executable=False, expected=len(data))
        for at in range(0, len(data), pieces):
            content.write(data[at : at + pieces])
        content.end()
    writer.close()
    return out.getvalue()


@given(
    st.dictionaries(st.text("abé/\n", min_size=1).filter(lambda name: not name.endswith("/")), st.binary(), max_size=8)
)
def test_what_is_written_can_be_read(files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(archive(files, pieces=7))) as found:
        assert {name: found.read(name) for name in found.namelist()} == files


def test_many_entries_take_zip64() -> None:
    count = 70_000
    data = archive(dict.fromkeys((f"{number:05}" for number in range(count)), b""))
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert len(found.namelist()) == count


def test_large_files_and_far_places_take_zip64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipwriter, "_LARGE", 1000)
    files = {"a": b"a" * 999, "b": b"b" * 1000, "c": b""}
    path, far = tmp_path / "a.zip", 5 << 30
    with path.open("wb") as out:
        out.seek(far)  # a hole stands for what came before
        writer = ZipWriter(lambda data: out.write(data) and None)
        writer._at = far
        for name, data in files.items():
            content = writer.file(name, executable=False, expected=len(data))
            content.write(data)
            content.end()
        writer.close()
    with zipfile.ZipFile(path) as found:
        assert found.getinfo("a").header_offset == far
        assert {name: found.read(name) for name in files} == files


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_info_zip_finds_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(archive({"é": b"x" * 100_000, "sub/empty": b""}))
    subprocess.run(["unzip", "-tq", path], check=True, capture_output=True)


def test_what_is_compressed_already_is_told_by_a_sample() -> None:
    text = b"".join(b"%d, and so on; " % number for number in range(5000))
    assert not is_hard(text)
    assert not is_hard(base64.b64encode(os.urandom(40_000)))
    assert is_hard(zlib.compress(base64.b64encode(os.urandom(40_000))))
    assert not is_hard(os.urandom(SAMPLE)), "too small to be worth it"
