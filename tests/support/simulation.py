"""A control plane whose nodes are simulated by KWOK: pods become Ready at once, nothing runs.

The scheduler is Kubernetes' own. So could the binder of volumes be, but it binds some ten claims a second; a smaller
one here binds claims to volumes that are there before.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from codesessions_dev.local.binaries import GROUPS, SIMULATION, build
from codesessions_dev.shell import wait_until
from codesessions_kube.client import KubeClient
from codesessions_kube.kinds import CLAIM, Kind
from codesessions_kube.store import Key
from codesessions_kube.watchcache import WatchCache

from support.controlplane import ControlPlane, free_port

CAPACITY = {"cpu": "1k", "memory": "1Ti", "pods": "250"}
STORAGE_CLASS = "simulated"
QPS = 1000
"""Requests a second that the scheduler may send; its default, 50, would be the bottleneck."""


class Simulation(ControlPlane):
    """Also a scheduler, and KWOK."""

    def add_nodes(self, count: int) -> None:
        """Start what runs pods, and wait until `count` nodes are Ready."""
        kubernetes, kwok = build(next(group for group in GROUPS if group.name == "cluster")), build(SIMULATION)
        kubeconfig = f"--kubeconfig={self.kubeconfig}"
        looks = [f"--authentication-kubeconfig={self.kubeconfig}", f"--authorization-kubeconfig={self.kubeconfig}"]
        scheduling = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": str(self.kubeconfig), "qps": QPS, "burst": QPS},
            "leaderElection": {"leaderElect": False},
        }
        (self.folder / "scheduler.json").write_text(json.dumps(scheduling))
        words = [f"--config={self.folder}/scheduler.json", *looks, f"--secure-port={free_port()}"]
        self._spawn("scheduler", [kubernetes / "kube-scheduler", "--bind-address=127.0.0.1", *words])
        stages = [f"--config={file}" for file in sorted(kwok.glob("*.yaml"))]
        words = [kubeconfig, "--manage-all-nodes", "--node-lease-duration-seconds=0", *stages]
        self._spawn("kwok", [kwok / "kwok", *words])
        metadata = {"name": STORAGE_CLASS}
        storage = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata}
        self.kubectl().apply({**storage, "provisioner": "kubernetes.io/no-provisioner"}, *map(_node, range(count)))
        path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
        words = ["get", "nodes", "-o", f"jsonpath={path}"]
        ready = lambda: self.kubectl()(*words).split().count("True") == count  # noqa: E731
        wait_until("the nodes are not Ready", ready, seconds=60, hint=str(self.folder))
        # There is no controller of nodes that would take away the taint which admission gives to new ones.
        self.kubectl()("taint", "nodes", "--all", "node.kubernetes.io/not-ready:NoSchedule-")


def _node(number: int) -> dict[str, object]:
    status = {"capacity": CAPACITY, "allocatable": CAPACITY}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{number}"}, "status": status}


class Binder:
    """Binds claims of the storage class to volumes, a few at a time (Kubernetes: Persistent Volumes, binding)."""

    KIND = Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False)
    _AT_ONCE = 8

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._claims = WatchCache(client, CLAIM, changed=self._look)
        self._waiting: asyncio.Queue[Key] = asyncio.Queue()

    async def add_volume(self, key: Key) -> None:
        """For the claim of this namespace and name, that somebody will make."""
        namespace, name = key
        spec = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "hostPath": {"path": "/nowhere"},
            "claimRef": {"namespace": namespace, "name": name},
        }
        body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": _volume(key)}, "spec": spec}
        await self._client.create(self.KIND, None, body, manager="binder")

    def _look(self, key: Key) -> None:
        claim = self._claims.get(*key)
        if claim is not None and not claim["spec"].get("volumeName"):
            self._waiting.put_nowait(key)

    async def run(self) -> None:
        """Bind for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claims.run())
            for _ in range(self._AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            namespace, name = key = await self._waiting.get()
            bound: dict[str, Any] = {
                "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
                "spec": {"volumeName": _volume(key)},
            }
            await self._client.patch(CLAIM, namespace, name, bound, manager="binder")


def _volume(key: Key) -> str:
    return f"{key[0]}-{key[1]}"
