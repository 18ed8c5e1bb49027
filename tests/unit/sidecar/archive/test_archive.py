"""What goes into an archive, what does not, and what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from codesessions_sidecar.archive import program
from codesessions_sidecar.archive.errors import ArchiveError
from codesessions_sidecar.archive.limits import Limits
from codesessions_sidecar.archive.program import BLOCK, Archive
from codesessions_sidecar.archive.walk import stays_inside
from codesessions_sidecar.archive.zipwriter import ZipWriter

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


def write(root: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        put(root, name, content)


def put(root: Path, name: str, content: str | bytes = "x") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def made(root: Path, limits: Limits | None = None) -> bytes:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    out = io.BytesIO()
    try:
        Archive(folder, str(root), limits or Limits()).send(ZipWriter(lambda data: out.write(data) and None))
    finally:
        os.close(folder)
    return out.getvalue()


def opened(root: Path, limits: Limits | None = None) -> zipfile.ZipFile:
    found = zipfile.ZipFile(io.BytesIO(made(root, limits)))
    assert found.testzip() is None
    return found


def refusal(root: Path, limits: Limits | None = None) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        made(root, limits)
    return caught.value


def mode(entry: zipfile.ZipInfo) -> int:
    return entry.external_attr >> 16


def test_two_trees_of_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for turn, names in enumerate((["b/z", "a", "b/y", "é"], ["é", "b/y", "b/z", "a"])):
        root = tmp_path / str(turn)
        for name in names:
            path = put(root, name, name * 100)
            os.utime(path, (turn * 1000, turn * 1000))
            path.chmod(0o600 if turn else 0o664)
        (root / "l").symlink_to("b/y")
        digests.add(hashlib.sha256(made(root)).hexdigest())
    assert len(digests) == 1


def test_content_modes_links_and_empty_folders_are_kept(tree: Path) -> None:
    big = os.urandom(3 * BLOCK + 17)
    put(tree, "big.bin", big)
    put(tree, "text", "hello " * 100_000)
    put(tree, "empty", b"")
    put(tree, "run.sh", "#!/bin/sh\n").chmod(0o750)
    put(tree, "two\nlines", "n")
    (tree / "hollow").mkdir()
    (tree / "sub").mkdir()
    (tree / "sub" / "up").symlink_to("../run.sh")
    (tree / "absolute").symlink_to(tree / "sub")
    found = opened(tree)
    assert found.namelist() == sorted(found.namelist(), key=lambda name: name.rstrip("/"))
    assert found.read("big.bin") == big
    assert found.read("text") == b"hello " * 100_000
    assert found.read("empty") == b""
    assert found.read("two\nlines") == b"n"
    assert found.getinfo("big.bin").compress_size < len(big) + 200, "what does not compress is not made larger"
    assert found.getinfo("text").compress_size < 10_000
    assert stat.S_IMODE(mode(found.getinfo("run.sh"))) == 0o755
    assert stat.S_IMODE(mode(found.getinfo("text"))) == 0o644
    assert "hollow/" in found.namelist()
    assert stat.S_ISLNK(mode(found.getinfo("sub/up")))
    assert found.read("sub/up") == b"../run.sh"
    assert found.read("absolute") == b"sub", "a path of the session would mean nothing elsewhere"


def test_secrets_packages_and_caches_are_left_out_whatever_is_said(tree: Path) -> None:
    put(tree, ".csignore", "!**\n!.env\n!node_modules")
    put(tree, "kept.py")
    put(tree, "environment")
    put(tree, "cert.pem", "-----BEGIN CERTIFICATE-----\n")
    for name in (".git/config", ".env", ".env.local", "sub/.env", "node_modules/a/b.js", "sub/node_modules/x"):
        put(tree, name)
    for name in (".ssh/id_ed25519", "id_rsa", "x.pyc", "__pycache__/x", ".npmrc", ".bash_history", "k.p12"):
        put(tree, name)
    put(tree, "deploy_key", KEY)
    put(tree, "both.pem", "-----BEGIN CERTIFICATE-----\n" + "c" * 2000 + "\n" + KEY)
    put(tree, "large.pem", KEY + "c" * 2 * BLOCK)
    put(tree, "myenv/pyvenv.cfg")
    put(tree, "myenv/lib/x.py")
    (tree / ".venv").symlink_to("/usr")
    assert set(opened(tree).namelist()) == {".csignore", "kept.py", "environment", "cert.pem", "sub/"}


def test_ignore_files_are_honoured_the_second_over_the_first(tree: Path) -> None:
    put(tree, ".dockerignore", "*.log\ndata\n!data/keep")
    put(tree, ".csignore", "!b.log")
    for name in ("a.log", "b.log", "sub/c.log", "data/drop", "data/keep/x"):
        put(tree, name)
    names = set(opened(tree).namelist()) - {".dockerignore", ".csignore", "sub/"}
    assert names == {"b.log", "sub/c.log", "data/keep/", "data/keep/x"}


def test_what_is_no_file_is_passed_over(tree: Path) -> None:
    put(tree, "a")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
        assert opened(tree).namelist() == ["a"]


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../x", "sub/../../x", "a/../b", "/", "../root-other"])
def test_a_link_out_of_the_tree_is_refused(tree: Path, target: str) -> None:
    (tree / "leak").symlink_to(target)
    error = refusal(tree)
    assert error.code == "link_escapes"
    assert "'leak'" in str(error)
    put(tree, ".csignore", "leak")
    assert opened(tree).namelist() == [".csignore"]


@pytest.mark.parametrize(("target", "depth"), [("../a", 1), ("../../a", 2), (".", 0), ("./a//b", 0), ("..", 1)])
def test_a_link_within_the_tree_is_kept(target: str, depth: int) -> None:
    assert stays_inside(target, depth)
    assert not stays_inside("../" + target, depth)


def test_hard_links_are_files(tree: Path) -> None:
    os.link(put(tree, "a", "same"), tree / "b")
    found = opened(tree)
    assert (found.read("a"), found.read("b")) == (b"same", b"same")


def test_a_huge_sparse_file_is_refused_at_once(tree: Path) -> None:
    with (tree / "hole").open("wb") as hole:
        hole.truncate(1 << 40)
    error = refusal(tree)
    assert (error.code, "'hole'" in str(error)) == ("file_too_large", True)


@pytest.mark.parametrize(
    ("limits", "code", "named"),
    [
        (Limits(entries=3), "too_many_entries", "'sub'"),
        (Limits(file=5), "file_too_large", "'b'"),
        (Limits(total=11), "archive_too_large", "'sub/c'"),
        (Limits(depth=1), "too_deep", "'sub'"),
        (Limits(path=4), "path_too_long", "'sub/c'"),
    ],
)
def test_limits_name_the_file(tree: Path, limits: Limits, code: str, named: str) -> None:
    write(tree, a="1234", b="123456")
    put(tree, "sub/c", "12")
    error = refusal(tree, limits)
    assert error.code == code
    assert named in str(error)


def test_a_name_that_is_not_utf8_is_refused_and_shown(tree: Path) -> None:
    put(tree, os.fsdecode(b"a\xffb\n"))
    error = refusal(tree)
    assert error.code == "bad_name"
    assert r"a\udcffb\n" in str(error)
    put(tree, ".csignore", "a*")
    assert opened(tree).namelist() == [".csignore"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(tree: Path) -> None:
    put(tree, "secret").chmod(0)
    assert refusal(tree).code == "unreadable"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Does something between the moment a file is found and the moment it is opened."""

    def hook(act: Callable[[], object]) -> None:
        real, done = program.open_file, []

        def later(found: program.Found) -> tuple[int, os.stat_result] | None:
            if not done:
                done.append(act())
            return real(found)

        monkeypatch.setattr(program, "open_file", later)

    return hook


def test_a_file_that_becomes_a_link_is_not_followed(
    tree: Path, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    outside, path = put(tmp_path, "outside", "secret"), put(tree, "a")
    meanwhile(lambda: (path.unlink(), path.symlink_to(outside)))
    assert refusal(tree).code == "changed"


def test_a_folder_that_becomes_a_link_is_not_followed(
    tree: Path, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    put(tmp_path / "outside", "f", "secret")
    put(tree, "a")
    put(tree, "b/f", "mine")
    meanwhile(lambda: ((tree / "b").rename(tree / "old"), (tree / "b").symlink_to(tmp_path / "outside")))
    assert refusal(tree).code == "link_escapes"


def test_a_folder_that_is_moved_away_while_it_is_read_leads_nowhere_else(
    tree: Path, tmp_path: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    put(tmp_path / "outside", "f", "secret")
    put(tree, "b/f", "mine")
    meanwhile(lambda: ((tree / "b").rename(tree / "old"), (tree / "b").symlink_to(tmp_path / "outside")))
    assert opened(tree).read("b/f") == b"mine"


def test_a_file_that_becomes_a_fifo_blocks_nobody(
    tree: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    path = put(tree, "a")
    meanwhile(lambda: (path.unlink(), os.mkfifo(path)))
    assert refusal(tree).code == "changed"


def test_a_file_that_vanishes_is_not_there(tree: Path, meanwhile: Callable[[Callable[[], object]], None]) -> None:
    path = put(tree, "a")
    put(tree, "b")
    meanwhile(path.unlink)
    assert opened(tree).namelist() == ["b"]


def test_a_file_that_grows_beyond_a_limit_is_refused_late_too(
    tree: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    path = put(tree, "a")
    meanwhile(lambda: path.write_bytes(b"y" * 100))
    assert refusal(tree, Limits(file=50)).code == "file_too_large"


@pytest.mark.parametrize("size", [10, 2 * BLOCK])
def test_a_file_cut_short_while_it_is_read_fails_or_is_whole(
    tree: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    path, real, done = put(tree, "a", b"z" * size), os.preadv, []

    def cut(file: int, buffers: list[memoryview], at: int) -> int:
        count = real(file, buffers, at)
        if not done:
            done.append(path.write_bytes(b"z"))
        return count

    monkeypatch.setattr(os, "preadv", cut)
    if size > BLOCK:
        assert refusal(tree).code == "changed"
    else:
        assert opened(tree).read("a") == b"z", "read again"


def test_a_log_that_grows_is_taken_up_to_where_it_was(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = put(tree, "log", b"z" * 3 * BLOCK), os.preadv

    def grow(file: int, buffers: list[memoryview], at: int) -> int:
        with path.open("ab") as log:
            log.write(b"more")
        return real(file, buffers, at)

    monkeypatch.setattr(os, "preadv", grow)
    assert opened(tree).read("log") == b"z" * 3 * BLOCK
