"""Configuration texts of the cluster's daemons. Pure functions of the layout."""

from __future__ import annotations

import json
from pathlib import Path

from codesessions_dev.layout import Layout

PAUSE_IMAGE = "localhost/codesessions-dev/pause:1"
BASE_IMAGE = "localhost/codesessions-dev/base:1"
VOLUME_PROVISIONER = "codesessions.dev/local-volumes"
CGROUP = "codesessions-dev"


def kubeconfig(layout: Layout, user: str, server: str) -> str:
    """A kubeconfig whose certificates are file paths; `user` names a certificate in the PKI folder."""
    pki = layout.pki
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": layout.name, "cluster": {"server": server, "certificate-authority": f"{pki}/ca.crt"}}],
        "users": [
            {
                "name": user,
                "user": {"client-certificate": f"{pki}/{user}.crt", "client-key": f"{pki}/{user}.key"},
            }
        ],
        "contexts": [{"name": layout.name, "context": {"cluster": layout.name, "user": user}}],
        "current-context": layout.name,
    }
    return json.dumps(config, indent=1)


def cni(layout: Layout) -> str:
    """Pod network: a veth pair a pod, routed, no bridge (a bridge would need br_netfilter)."""
    first_24 = layout.pod_cidr.replace(".0.0/16", ".0.0/22")
    ipam = {
        "type": "host-local",
        "dataDir": f"{layout.state}/cni/addresses",
        "ranges": [[{"subnet": first_24}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins: list[dict[str, object]] = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables"},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": layout.name, "plugins": plugins}, indent=1)


def containerd(layout: Layout, node_programs: Path) -> str:
    """containerd's own configuration file, version 3."""
    cri = "plugins.'io.containerd.cri.v1.runtime'"
    return f"""version = 3
root = "{layout.state}/containerd"
state = "{layout.run}/containerd"
[grpc]
  address = "{layout.containerd_socket}"
[{cri}]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [{cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [{cri}.containerd.runtimes.runc.options]
      BinaryName = "{node_programs}/runc"
      Root = "{layout.run}/runc"
      SystemdCgroup = false
  [{cri}.cni]
    bin_dirs = ["{node_programs}"]
    conf_dir = "{layout.state}/cni/net.d"
[plugins.'io.containerd.internal.v1.opt']
  path = "{layout.state}/opt"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{layout.etc}/registry-hosts"
"""


REGISTRY_PORTS = (5000, 32500)
"""Of the node: its own registry's, and the node port of the chart's bundled one (registry.bundled.nodePort)."""


def registry_hosts(layout: Layout, port: int) -> str:
    """How the node reaches a registry: plain HTTP at the node's address (containerd's hosts.toml)."""
    url = f"http://{layout.node_ip}:{port}"
    return f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


def kubelet(layout: Layout) -> str:
    """KubeletConfiguration; JSON is YAML."""
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{layout.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{layout.pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{layout.pki}/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [layout.dns_ip],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "podLogsDir": f"{layout.state}/podlogs",
        "volumePluginDir": f"{layout.state}/volume-plugins",
        "featureGates": {"KubeletInUserNamespace": True},
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
        "imageGCHighThresholdPercent": 99,
        "imageGCLowThresholdPercent": 98,
        "serializeImagePulls": False,
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        "maxPods": 250,
        "podPidsLimit": 1024,
        "registryPullQPS": 0,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }
    return json.dumps(config, indent=1)


def coredns(layout: Layout) -> str:
    """A Corefile: cluster names from the API server, and no upstream (there is no way out of the namespace)."""
    return f""".:53 {{
  bind {layout.node_ip}
  errors
  health 127.0.0.1:8053
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {layout.etc}/inside.kubeconfig
    pods verified
    ttl 5
  }}
  cache 5
  loadbalance
}}
"""


def registry(layout: Layout) -> str:
    """Configuration of the OCI registry (distribution)."""
    config = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": f"{layout.state}/registry"}, "delete": {"enabled": True}},
        "http": {"addr": f"{layout.node_ip}:5000"},
    }
    return json.dumps(config, indent=1)


def audit() -> str:
    """Who wrote what, a line a call, without the bodies (Kubernetes, "Auditing"); reads and clocks are left out."""
    clocks = {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]}
    writes = {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]}
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
    return json.dumps({**policy, "omitManagedFields": True, "rules": [clocks, writes, {"level": "None"}]})


def forwarder(layout: Layout) -> str:
    """Envoy as a TCP forwarder: it listens in this machine's network namespace and connects in the cluster's.

    File descriptor 9 is this machine's namespace (Envoy: SocketAddress.network_namespace_filepath).
    """
    ports = layout.ports
    routes = {
        "https": (ports.https, "127.0.0.1", 443),
        "http": (ports.http, "127.0.0.1", 80),
        "apiserver": (ports.apiserver, "127.0.0.1", 6443),
        "registry": (ports.registry, layout.node_ip, 5000),
    }
    listeners, clusters = [], []
    for name, (port, host, target) in routes.items():
        proxy = {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": name,
            "cluster": name,
            "idle_timeout": "0s",
        }
        outside = {
            "address": "127.0.0.1",
            "port_value": port,
            "network_namespace_filepath": "/proc/self/fd/9",
        }
        filters = [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]
        listeners.append(
            {"name": name, "address": {"socket_address": outside}, "filter_chains": [{"filters": filters}]}
        )
        inside = {"address": {"socket_address": {"address": host, "port_value": target}}}
        endpoints = [{"lb_endpoints": [{"endpoint": inside}]}]
        clusters.append(
            {
                "name": name,
                "type": "STATIC",
                "connect_timeout": "5s",
                "load_assignment": {"cluster_name": name, "endpoints": endpoints},
            }
        )
    return json.dumps(
        {
            "admin": {"address": {"pipe": {"path": f"{layout.run}/forwarder-admin.sock"}}},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        },
        indent=1,
    )
