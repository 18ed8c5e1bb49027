from __future__ import annotations

import pytest
from codesessions_kube import kinds


@pytest.mark.parametrize(
    ("kind", "where", "path"),
    [
        (kinds.POD, (), "/api/v1/pods"),
        (kinds.POD, ("demo",), "/api/v1/namespaces/demo/pods"),
        (kinds.POD, ("demo", "ws-a"), "/api/v1/namespaces/demo/pods/ws-a"),
        (kinds.NAMESPACE, (None, "demo"), "/api/v1/namespaces/demo"),
        (kinds.LEASE, ("a", "b"), "/apis/coordination.k8s.io/v1/namespaces/a/leases/b"),
        (
            kinds.CODE_SESSION,
            ("demo", "cs-a", "status"),
            "/apis/codesessions.dev/v1alpha1/namespaces/demo/codesessions/cs-a/status",
        ),
        (kinds.POD, ("../x", "a/b?c"), "/api/v1/namespaces/..%2Fx/pods/a%2Fb%3Fc"),
    ],
)
def test_paths(kind: kinds.Kind, where: tuple[str, ...], path: str) -> None:
    assert kind.path(*where) == path
