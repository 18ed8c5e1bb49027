"""The definitions are those of crds/, and outlive the release."""

from __future__ import annotations

import pytest
import yaml
from codesessions_dev.layout import REPO
from support.helm import CHART, render

SOURCES = sorted((REPO / "crds").glob("*.yaml"))


def test_the_chart_has_every_definition() -> None:
    copies = {path.name: path.read_text() for path in (CHART / "files" / "crds").iterdir()}
    assert copies == {path.name: path.read_text() for path in SOURCES}
    assert copies


def test_they_come_out_as_they_went_in() -> None:
    rendered = {each["metadata"]["name"]: each for each in render().all("CustomResourceDefinition")}
    wanted = [yaml.safe_load(path.read_text()) for path in SOURCES]
    assert set(rendered) == {each["metadata"]["name"] for each in wanted}
    for each in wanted:
        found = rendered[each["metadata"]["name"]]
        assert found["apiVersion"] == each["apiVersion"]
        assert found["spec"] == each["spec"]


@pytest.mark.parametrize(("keep", "annotation"), [(True, {"helm.sh/resource-policy": "keep"}), (False, None)])
def test_they_are_kept_unless_told_otherwise(*, keep: bool, annotation: object) -> None:
    for each in render({"crds": {"keep": keep}}).all("CustomResourceDefinition"):
        assert each["metadata"].get("annotations") == annotation


def test_they_can_be_left_out() -> None:
    assert render({"crds": {"install": False}}).all("CustomResourceDefinition") == []
