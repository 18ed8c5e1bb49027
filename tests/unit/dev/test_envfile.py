import subprocess
from pathlib import Path

from codesessions_dev.envfile import Access, parse, render
from hypothesis import given
from hypothesis import strategies as st

words = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)


@given(words, words)
def test_what_is_written_is_read_back(url: str, key: str) -> None:
    text = render(Access(url, key, Path("/tmp/ca.crt"), Path("/tmp/kubeconfig")))
    assert parse(text) == {
        "CODESESSIONS_URL": url,
        "CODESESSIONS_API_KEY": key,
        "CODESESSIONS_CA": "/tmp/ca.crt",
        "KUBECONFIG": "/tmp/kubeconfig",
    }


def test_a_shell_can_source_it(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text(render(Access("https://localhost:8443", "it's $HOME `x`", Path("/a b"), Path("/k"))))
    script = f'. {file}; printf "%s|%s" "$CODESESSIONS_API_KEY" "$CODESESSIONS_CA"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "it's $HOME `x`|/a b"


def test_a_file_of_something_else_says_nothing() -> None:
    assert parse("# a comment\nexport\nKUBECONFIG=/x\n") == {}
