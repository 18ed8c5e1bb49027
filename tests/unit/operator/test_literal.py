from __future__ import annotations

import re

import pytest
from codesessions_operator.literal import literal, literal_env


def kubelet(text: str, env: dict[str, str]) -> str:
    """What Kubernetes makes of a text (k8s.io/kubernetes, third_party/forked/golang/expansion)."""
    return re.sub(r"\$\$|\$\(([^)]*)\)", lambda found: "$" if found[0] == "$$" else env.get(found[1], found[0]), text)


@pytest.mark.parametrize(
    "text", ["", "plain", "pa$$word", "$(HOME)", "$$(HOME)", "$$$", "a$", "$HOME ${HOME}", "$(date) $(", "$()"]
)
def test_what_a_person_wrote_arrives(text: str) -> None:
    assert kubelet(literal(text), {"HOME": "/root", "": "x"}) == text


def test_names_are_left_alone() -> None:
    assert literal_env({"A": "$(B)"}) == [{"name": "A", "value": "$$(B)"}]
