"""What is taken from a base image: files, and the links that lead to them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from codesessions_dev.layout import REPO


@pytest.fixture(scope="module")
def minimal() -> ModuleType:
    """The program, as a module; it is none, because it runs in a build stage that has nothing of ours."""
    spec = importlib.util.spec_from_file_location("minimal", REPO / "images" / "minimal.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_link_comes_with_what_it_leads_to(minimal: ModuleType, tmp_path: Path) -> None:
    base, target = tmp_path / "base", tmp_path / "root"
    (base / "usr" / "lib").mkdir(parents=True)
    (base / "lib").symlink_to("usr/lib")
    (base / "usr" / "lib" / "libx.so.1.2").write_text("code")
    (base / "usr" / "lib" / "libx.so.1").symlink_to("libx.so.1.2")
    root = minimal.Root(target)
    root.add(base / "lib" / "libx.so.1")
    made = root.place(base)
    assert (made / "lib").readlink() == Path("usr/lib")
    assert (made / "usr" / "lib" / "libx.so.1").readlink() == Path("libx.so.1.2")
    assert not (made / "usr" / "lib" / "libx.so.1.2").is_symlink()
    assert (made / "lib" / "libx.so.1").read_text() == "code"


def test_what_no_service_needs_stays_out(minimal: ModuleType, tmp_path: Path) -> None:
    library = tmp_path / "python3"
    for name in ("json/__init__.py", "ensurepip/__init__.py", "test/x.py", "json/test/data.py", "config-3/libpython.a"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text("")
    (library / "readline.cpython.so").write_text("")
    root = minimal.Root(tmp_path / "root")
    found = {str(file.relative_to(library)) for file in root.tree(library)}
    assert found == {"json/__init__.py", "json/test/data.py"}


def test_the_libraries_of_a_program_are_found(minimal: ModuleType) -> None:
    found = {library.name for library in minimal.libraries(Path("/bin/sh"))}
    assert any(name.startswith("libc.so") for name in found)
    assert any(name.startswith("ld-linux") for name in found)
