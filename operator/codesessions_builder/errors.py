"""How a build fails."""

from __future__ import annotations


class BuildError(Exception):
    """`code` is stable, the text says what to do; `transient`: the same build may succeed later."""

    def __init__(self, code: str, text: str, *, transient: bool = False) -> None:
        super().__init__(text)
        self.code, self.transient = code, transient


def shown(path: str, most: int = 200) -> str:
    """A path for people: nothing that a terminal would obey, not endless."""
    text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in path)
    return f"'{text if len(text) <= most else text[: most - 3] + '...'}'"
