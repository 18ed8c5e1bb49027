"""What a bare cluster needs besides its daemons: DNS, a default storage class, an ingress class.

Kubernetes objects as dicts.
"""

from __future__ import annotations

from typing import Any

from codesessions_dev.layout import Layout
from codesessions_dev.local.configs import VOLUME_PROVISIONER

Object = dict[str, Any]


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _node_service(
    layout: Layout, namespace: str, name: str, cluster_ip: str | None, ports: list[Object]
) -> list[Object]:
    """A Service whose only endpoint is a daemon at the node's address."""
    metadata = {"name": name, "namespace": namespace}
    spec: Object = {"ports": ports}
    if cluster_ip:
        spec["clusterIP"] = cluster_ip
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-node",
            "namespace": namespace,
            "labels": {
                "kubernetes.io/service-name": name,
                "endpointslice.kubernetes.io/managed-by": "codesessions-dev",
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [layout.node_ip], "conditions": {"ready": True}}],
        "ports": [{key: port[key] for key in ("name", "port", "protocol")} for port in ports],
    }
    return [{"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}, endpoints]


def dns(layout: Layout) -> list[Object]:
    ports: list[Object] = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    return _node_service(layout, "kube-system", "kube-dns", layout.dns_ip, ports)


def registry(layout: Layout) -> list[Object]:
    return _node_service(layout, "kube-system", "registry", None, [{"name": "http", "port": 5000, "protocol": "TCP"}])


def storage() -> list[Object]:
    """The default StorageClass. Bound at once: there is but one node to choose."""
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "local",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": VOLUME_PROVISIONER,
            "volumeBindingMode": "Immediate",
            "reclaimPolicy": "Delete",
        },
    ]


def ingress() -> list[Object]:
    """The namespace of Contour and its IngressClass."""
    return [
        _namespace("projectcontour"),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {
                "name": "contour",
                "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
            },
            "spec": {"controller": "projectcontour.io/ingress-controller"},
        },
    ]


def objects(layout: Layout) -> list[Object]:
    """All of them, in an order that can be applied."""
    return [*dns(layout), *registry(layout), *storage(), *ingress()]
