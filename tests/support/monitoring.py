"""What the chart's alerts and dashboard ask of Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser
from promql_parser import AggregateExpr, Expr, MatchOp, VectorSelector

from support.helm import render

GIVEN = frozenset({"namespace", "pod"})
"""Labels that Prometheus adds to what it scrapes by a PodMonitor or ServiceMonitor."""
RUNBOOK = "https://docs.example.com/operations.md"

Object = dict[str, Any]


@dataclass(frozen=True)
class Selector:
    """A time series that is asked for, and what its labels must be."""

    name: str
    matchers: tuple[tuple[str, MatchOp, str], ...]

    @property
    def labels(self) -> set[str]:
        return {label for label, _, _ in self.matchers}

    def takes(self, labels: dict[str, str]) -> bool:
        """Whether a sample is chosen, as far as its own labels go (Prometheus: expressions are anchored)."""
        return all(_holds(op, value, labels[name]) for name, op, value in self.matchers if name in labels)


def _holds(op: MatchOp, wanted: str, found: str) -> bool:
    if op == MatchOp.Equal or op == MatchOp.NotEqual:
        return (wanted == found) is (op == MatchOp.Equal)
    return (re.fullmatch(wanted, found) is not None) is (op == MatchOp.Re)


def read(text: str) -> tuple[list[Selector], set[str]]:
    """The selectors of an expression, and the labels by which it groups. Raises ValueError for what is no PromQL."""
    selectors: list[Selector] = []
    groups: set[str] = set()

    def visit(each: Expr) -> None:
        if isinstance(each, VectorSelector):
            found = tuple((one.name, one.op, one.value) for one in each.matchers.matchers)
            selectors.append(Selector(each.name or "", found))
        elif isinstance(each, AggregateExpr) and each.modifier is not None:
            groups.update(each.modifier.labels)

    promql_parser.walk(promql_parser.parse(text), visit)
    return selectors, groups


def alerts(**values: Any) -> list[Object]:
    """The rules of the PrometheusRule."""
    rendered = render({"prometheusRule": {"enabled": True, "runbookUrl": RUNBOOK, **values}})
    found = rendered.one("PrometheusRule", "codesessions")
    return [rule for group in found["spec"]["groups"] for rule in group["rules"]]


def dashboard() -> Object:
    """What Grafana gets."""
    data = render({"grafanaDashboard": {"enabled": True}}).one("ConfigMap", "codesessions-dashboard")["data"]
    found: Object = json.loads(data["codesessions.json"])
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, and the alert or panel it is of."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
