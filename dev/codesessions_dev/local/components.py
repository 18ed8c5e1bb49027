"""The daemons of the cluster, in the order they start. Pure: layout and programs in, command lines out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codesessions_dev.layout import Layout
from codesessions_dev.local.binaries import Binaries
from codesessions_dev.local.configs import VOLUME_PROVISIONER
from codesessions_dev.local.process import Daemon


@dataclass(frozen=True)
class Programs:
    """What the daemons are started from."""

    built: Binaries
    envoy: Path


def etcd(layout: Layout, programs: Programs) -> Daemon:
    client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
    return Daemon(
        "etcd",
        [
            programs.built["etcd"],
            f"--data-dir={layout.state}/etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
        ],
    )


def apiserver(layout: Layout, programs: Programs) -> Daemon:
    pki = layout.pki
    return Daemon(
        "kube-apiserver",
        [
            programs.built["kube-apiserver"],
            "--etcd-servers=http://127.0.0.1:2379",
            f"--client-ca-file={pki}/ca.crt",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/service-account.key",
            f"--service-account-signing-key-file={pki}/service-account.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-cluster-ip-range={layout.service_cidr}",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            f"--advertise-address={layout.node_ip}",
            "--allow-privileged=true",
            "--secure-port=6443",
            "--bind-address=0.0.0.0",
            "--shutdown-delay-duration=0s",
            f"--audit-policy-file={layout.etc}/audit.json",
            f"--audit-log-path={layout.logs}/audit.jsonl",
            "--audit-log-maxsize=50",
            "--audit-log-maxbackup=1",
        ],
    )


def controller_manager(layout: Layout, programs: Programs) -> Daemon:
    config = f"{layout.etc}/controller-manager.kubeconfig"
    return Daemon(
        "kube-controller-manager",
        [
            programs.built["kube-controller-manager"],
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            f"--service-account-private-key-file={layout.pki}/service-account.key",
            f"--root-ca-file={layout.pki}/ca.crt",
            "--use-service-account-credentials",
            f"--cluster-signing-cert-file={layout.pki}/ca.crt",
            f"--cluster-signing-key-file={layout.pki}/ca.key",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ],
    )


def scheduler(layout: Layout, programs: Programs) -> Daemon:
    config = f"{layout.etc}/scheduler.kubeconfig"
    return Daemon(
        "kube-scheduler",
        [
            programs.built["kube-scheduler"],
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ],
    )


def containerd(layout: Layout, programs: Programs) -> Daemon:
    search = f"{programs.built.node}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return Daemon(
        "containerd",
        [programs.built["containerd"], "--config", layout.etc / "containerd.toml"],
        env={"PATH": search},
    )


def kubelet(layout: Layout, programs: Programs) -> Daemon:
    return Daemon(
        "kubelet",
        [
            programs.built["kubelet"],
            f"--config={layout.etc}/kubelet.json",
            f"--kubeconfig={layout.etc}/kubelet.kubeconfig",
            f"--hostname-override={layout.node}",
            f"--node-ip={layout.node_ip}",
            f"--root-dir={layout.state}/kubelet",
        ],
    )


def proxy(layout: Layout, programs: Programs) -> Daemon:
    return Daemon(
        "kube-proxy",
        [
            programs.built["kube-proxy"],
            f"--kubeconfig={layout.etc}/proxy.kubeconfig",
            "--proxy-mode=nftables",
            f"--cluster-cidr={layout.pod_cidr}",
            f"--hostname-override={layout.node}",
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ],
    )


def coredns(layout: Layout, programs: Programs) -> Daemon:
    return Daemon("coredns", [programs.built["coredns"], "-conf", layout.etc / "Corefile"])


def registry(layout: Layout, programs: Programs) -> Daemon:
    return Daemon(
        "registry",
        [programs.built["registry"], "serve", layout.etc / "registry.json"],
        env={"OTEL_TRACES_EXPORTER": "none"},
    )


def provisioner(layout: Layout, programs: Programs) -> Daemon:
    return Daemon(
        "volume-provisioner",
        [
            programs.built["local-volumes"],
            f"--kubeconfig={layout.etc}/inside.kubeconfig",
            f"--provisioner={VOLUME_PROVISIONER}",
            f"--root={layout.state}/volumes",
            f"--node={layout.node}",
        ],
    )


def contour(layout: Layout, programs: Programs) -> Daemon:
    return Daemon(
        "contour",
        [
            programs.built["contour"],
            "serve",
            f"--kubeconfig={layout.etc}/inside.kubeconfig",
            "--insecure",
            "--xds-address=127.0.0.1",
            "--xds-port=8001",
            "--http-address=127.0.0.1",
            "--health-address=127.0.0.1",
            "--disable-leader-election",
            "--envoy-service-http-address=0.0.0.0",
            "--envoy-service-http-port=80",
            "--envoy-service-https-port=443",
            "--ingress-class-name=contour",
        ],
    )


def envoy(layout: Layout, programs: Programs) -> Daemon:
    return Daemon(
        "envoy",
        [
            programs.envoy,
            "-c",
            layout.etc / "envoy.json",
            "--service-cluster",
            "contour",
            "--service-node",
            layout.node,
            "--log-level",
            "warn",
            "--use-dynamic-base-id",
            "--concurrency",
            "2",
        ],
    )


def forwarder(layout: Layout, programs: Programs) -> Daemon:
    return Daemon(
        "forwarder",
        [
            programs.envoy,
            "-c",
            layout.etc / "forwarder.json",
            "--log-level",
            "warn",
            "--use-dynamic-base-id",
            "--concurrency",
            "1",
        ],
        host_netns_fd=True,
    )


def egress(layout: Layout, programs: Programs) -> Daemon:
    """Listens in the cluster's network namespace and connects in this machine's."""
    words = ["--log-level", "warn", "--use-dynamic-base-id", "--concurrency", "1"]
    return Daemon("egress", [programs.envoy, "-c", layout.etc / "egress.json", *words], outside=True)
