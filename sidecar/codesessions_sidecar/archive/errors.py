"""Why an archive cannot be made."""

from __future__ import annotations


class ArchiveError(Exception):
    """A refusal: `code` is stable, the text names the file and says what to do."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def shown(path: str, most: int = 200) -> str:
    """A path for people: no control characters, none of the undecodable bytes, not endless."""
    text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in path)
    return f"'{text if len(text) <= most else text[: most - 3] + '...'}'"
