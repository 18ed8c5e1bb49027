"""Cluster, images, chart, an organisation and a key: what stands between a bare machine and the first request."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from codesessions_dev import envfile, images, say
from codesessions_dev.envfile import Access
from codesessions_dev.layout import APPS_DOMAIN, REPO, tool
from codesessions_dev.provider import Provider
from codesessions_dev.shell import run

NAMESPACE = "codesessions-system"
RELEASE = "codesessions"
ORGANIZATION = "demo"
BUILD_CA = "codesessions-build-ca"
APPS_TLS_SECRET = "codesessions-apps-tls"  # noqa: S105
TLS_SECRETS = {"codesessions-ingress-tls": "ingress", APPS_TLS_SECRET: "apps"}
"""Secrets, and the certificates in them."""
SCOPES = "code-sessions:read,code-sessions:write,code-sessions:deploy"


def install(provider: Provider) -> Access:
    """Bring everything to the state of this checkout and return how to reach it. Raises DevError."""
    say.line("The cluster:")
    provider.up()
    say.line("The product:")
    built = images.ensure(provider)
    _apply(provider, _namespace(), *(_tls_secret(provider, *each) for each in TLS_SECRETS.items()), _delegation())
    _chart(provider, built)
    access = _access(provider)
    envfile.write(access)
    say.line(f"  {access.url} answers; wrote {envfile.PATH.relative_to(REPO)}")
    return access


def _kubectl(provider: Provider, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return run([tool("kubectl"), f"--kubeconfig={provider.kubeconfig}", *words], stdin=stdin)


def _apply(provider: Provider, *objects: dict[str, object]) -> None:
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    _kubectl(provider, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=items)


def _namespace() -> dict[str, object]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _tls_secret(provider: Provider, name: str, certificate: str) -> dict[str, object]:
    pki = provider.layout.pki
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": {
            "tls.crt": (pki / f"{certificate}.crt").read_text(),
            "tls.key": (pki / f"{certificate}.key").read_text(),
        },
    }


def _delegation() -> dict[str, object]:
    """Ingresses of every namespace may use the applications' certificate (Contour: TLS certificate delegation)."""
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": "TLSCertificateDelegation",
        "metadata": {"name": APPS_TLS_SECRET, "namespace": NAMESPACE},
        "spec": {"delegations": [{"secretName": APPS_TLS_SECRET, "targetNamespaces": ["*"]}]},
    }


def _apps(provider: Provider) -> dict[str, object]:
    """Where applications are reached: by host name at the ingress's TLS port."""
    port = provider.layout.ports.https
    annotations = {"projectcontour.io/tls-cert-namespace": NAMESPACE}
    return {
        "domain": APPS_DOMAIN,
        "url": "https://{host}" + ("" if port == 443 else f":{port}"),
        "ingress": {"className": "contour", "annotations": annotations},
        "tls": {"enabled": True, "secretName": APPS_TLS_SECRET},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }


def _build_ca(provider: Provider) -> dict[str, object]:
    """What builds of the organisation trust: a package index may be behind a certificate of this machine's own."""
    metadata = {"name": BUILD_CA, "namespace": ORGANIZATION}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": provider.build_ca}}


def _url(provider: Provider) -> str:
    port = provider.layout.ports.https
    return "https://localhost" + ("" if port == 443 else f":{port}")


def _chart(provider: Provider, built: images.Images) -> None:
    values = {
        "ptyBaseUrl": _url(provider),
        "registry": {"url": provider.registry},
        "apps": _apps(provider),
        "build": {
            "runtimeImage": built.runtime,
            "buildah": {"image": built.buildah},
            "env": provider.build_env,
            "caConfigMap": BUILD_CA if provider.build_ca else "",
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        },
        **built.values(),
    }
    with say.step("install or upgrade the chart (Helm 4)"):
        run(
            [
                provider.helm,
                "upgrade",
                "--install",
                RELEASE,
                REPO / "charts" / "codesessions",
                f"--kubeconfig={provider.kubeconfig}",
                f"--namespace={NAMESPACE}",
                f"--values={REPO / 'dev' / 'values.yaml'}",
                "--values=-",
                "--wait",
                "--timeout=180s",
                "--take-ownership",
                "--force-conflicts",
            ],
            stdin=json.dumps(values),
        )


def _access(provider: Provider) -> Access:
    """An organisation and a key for it; the key of the last run is kept if the cluster still knows it."""
    cli = [Path(sys.prefix) / "bin" / "codesessions"]
    env = {"KUBECONFIG": str(provider.kubeconfig)}
    run([*cli, "org", "create", ORGANIZATION], env=env)
    if provider.build_ca:
        _apply(provider, _build_ca(provider))
    known = envfile.read()
    key = known.api_key if known and _is_known(provider, known.api_key) else ""
    if not key:
        words = ["keys", "create", "--org", ORGANIZATION, "--user", "user_demo", "--scopes", SCOPES, "-o", "json"]
        key = json.loads(run([*cli, *words], env=env).stdout)["key"]
    return Access(_url(provider), key, provider.ca, provider.kubeconfig)


def _is_known(provider: Provider, key: str) -> bool:
    path = "{.items[*].spec.hash}"
    hashes = _kubectl(provider, "-n", ORGANIZATION, "get", "apikeys.codesessions.dev", "-o", f"jsonpath={path}").stdout
    return hashlib.sha256(key.encode()).hexdigest() in hashes.split()
