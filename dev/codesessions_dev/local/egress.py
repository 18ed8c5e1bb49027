"""The one way out of the cluster: an HTTP proxy for build pods that reaches the package indexes of this machine.

Which indexes those are is asked of pip and npm here, when the cluster comes up; everything else is refused. An Envoy in
this machine's network namespace listens in the cluster's (Envoy: SocketAddress.network_namespace_filepath).
"""

from __future__ import annotations

import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from codesessions_dev.layout import Layout
from codesessions_dev.shell import run

PORT = 3128
_EXT = "type.googleapis.com/envoy.extensions"
_PIP = (
    "from pip._internal.models.index import PyPI\n"
    "from pip._internal.configuration import Configuration\n"
    "c = Configuration(isolated=False)\n"
    "c.load()\n"
    "values = [v for k, v in c.items() if k.endswith(('index-url', 'extra-index-url'))]\n"
    "print(*values or [PyPI.simple_url, 'https://' + PyPI.file_storage_domain], sep='\\n')\n"
)
"""Where pip would look; its own defaults have their files at another host."""


def indexes() -> dict[str, str]:
    """The package indexes of this machine: variables that name them to pip and npm, by the programs' own settings."""
    found = {}
    pip = run([Path(sys.base_prefix) / "bin" / "python3", "-c", _PIP], check=False)
    urls = pip.stdout.split() if pip.returncode == 0 else []
    if urls:
        found["PIP_INDEX_URL"] = urls[0]
        if urls[1:]:
            found["PIP_EXTRA_INDEX_URL"] = " ".join(urls[1:])
    npm = run(["sh", "-c", "command -v npm >/dev/null && npm config get registry --loglevel=silent"], check=False)
    if npm.stdout.startswith("http"):
        found["npm_config_registry"] = npm.stdout.strip()
    return found


def hosts(found: dict[str, str]) -> list[tuple[str, int]]:
    """Host and port of each index."""
    places = set()
    for url in " ".join(found.values()).split():
        parts = urlsplit(url)
        if parts.hostname:
            places.add((parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)))
    return sorted(places)


def variables(layout: Layout, found: dict[str, str]) -> dict[str, str]:
    """What build pods are told (chart: build.env)."""
    if not found:
        return {}
    proxy = f"http://{layout.node_ip}:{PORT}"
    extra = [url for url in found.get("PIP_EXTRA_INDEX_URL", "").split() if urlsplit(url).path.strip("/")]
    named = {name: value for name, value in found.items() if name != "PIP_EXTRA_INDEX_URL"}
    if extra:
        named["PIP_EXTRA_INDEX_URL"] = " ".join(extra)
    lower = {"https_proxy": proxy, "http_proxy": proxy}
    return {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, **lower, "NO_PROXY": f"{layout.node_ip},.svc,.local", **named}


def certificates() -> str:
    """The certificates this machine trusts, PEM: an index may be behind one of its own."""
    paths = ssl.get_default_verify_paths()
    for file in (os.environ.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", paths.cafile):
        if file and Path(file).is_file():
            return Path(file).read_text()
    return ""


def config(layout: Layout, places: list[tuple[str, int]]) -> str:
    """The Envoy that lets CONNECT through to these places, and nothing else (RFC 9110, section 9.3.6)."""
    connect = {"upgrade_type": "CONNECT"}
    virtual_hosts: list[dict[str, Any]] = []
    clusters: list[dict[str, Any]] = []
    for host, port in places:
        name = f"{host}:{port}"
        route = {"cluster": name, "timeout": "0s", "upgrade_configs": [{**connect, "connect_config": {}}]}
        virtual_hosts.append(
            {"name": name, "domains": [name], "routes": [{"match": {"connect_matcher": {}}, "route": route}]}
        )
        address = {"socket_address": {"address": host, "port_value": port}}
        endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        clusters.append(
            {
                "name": name,
                "type": "LOGICAL_DNS",
                "dns_lookup_family": "V4_PREFERRED",
                "typed_dns_resolver_config": {
                    "name": "envoy.network.dns_resolver.getaddrinfo",
                    "typed_config": {
                        "@type": f"{_EXT}.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig"
                    },
                },
                "connect_timeout": "10s",
                "load_assignment": {"cluster_name": name, "endpoints": endpoints},
            }
        )
    manager = {
        "@type": f"{_EXT}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "egress",
        "route_config": {"virtual_hosts": virtual_hosts},
        "upgrade_configs": [connect],
        "http_protocol_options": {"accept_http_10": True},  # pip's CONNECT
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_EXT}.filters.http.router.v3.Router"}},
        ],
    }
    inside = {
        "address": layout.node_ip,
        "port_value": PORT,
        "network_namespace_filepath": str(layout.netns),
    }
    listener = {
        "name": "egress",
        "address": {"socket_address": inside},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return json.dumps(
        {
            "admin": {"address": {"pipe": {"path": f"{layout.run}/egress-admin.sock"}}},
            "static_resources": {"listeners": [listener], "clusters": clusters},
        },
        indent=1,
    )
