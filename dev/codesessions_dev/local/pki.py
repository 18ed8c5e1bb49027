"""Certificates of the cluster and its ingress, signed by a local authority (openssl(1); X.509, RFC 5280)."""

from __future__ import annotations

from dataclasses import dataclass

from codesessions_dev.layout import APPS_DOMAIN, Layout
from codesessions_dev.shell import run

DAYS = "3650"


@dataclass(frozen=True)
class Certificate:
    """A certificate to have: file name, subject, and the names and addresses it is good for."""

    name: str
    subject: str
    names: tuple[str, ...] = ()


def wanted(layout: Layout) -> list[Certificate]:
    """Every certificate of the cluster."""
    apiserver = (
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local",
        "DNS:localhost",
        "IP:127.0.0.1",
        f"IP:{layout.apiserver_service_ip}",
        f"IP:{layout.node_ip}",
    )
    ingress = (
        "DNS:localhost",
        "DNS:*.codesessions.localhost",
        "DNS:*.apps.codesessions.localhost",
        "IP:127.0.0.1",
    )
    return [
        Certificate("apiserver", "/CN=kube-apiserver", apiserver),
        Certificate("admin", "/O=system:masters/CN=admin"),
        Certificate("controller-manager", "/CN=system:kube-controller-manager"),
        Certificate("scheduler", "/CN=system:kube-scheduler"),
        Certificate("proxy", "/CN=system:kube-proxy"),
        Certificate(
            "kubelet",
            f"/O=system:nodes/CN=system:node:{layout.node}",
            (f"DNS:{layout.node}", f"IP:{layout.node_ip}"),
        ),
        Certificate("apiserver-kubelet", "/O=system:masters/CN=apiserver-kubelet-client"),
        Certificate("ingress", "/CN=Code Sessions development ingress", ingress),
        Certificate("apps", "/CN=Code Sessions development applications", (f"DNS:*.{APPS_DOMAIN}",)),
    ]


def create(layout: Layout) -> None:
    """Make the authority and every certificate that is missing."""
    folder = layout.pki
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not (folder / "ca.crt").exists():
        _key(layout, "ca")
        run(
            [
                "openssl",
                "req",
                "-x509",
                "-new",
                "-key",
                "ca.key",
                "-subj",
                "/CN=Code Sessions development CA",
                "-days",
                DAYS,
                "-out",
                "ca.crt",
            ],
            cwd=folder,
        )
    if not (folder / "service-account.key").exists():
        run(["openssl", "genrsa", "-out", "service-account.key", "2048"], cwd=folder)
    for certificate in wanted(layout):
        if not (folder / f"{certificate.name}.crt").exists():
            _sign(layout, certificate)


def _key(layout: Layout, name: str) -> None:
    run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key"],
        cwd=layout.pki,
    )


def _sign(layout: Layout, certificate: Certificate) -> None:
    folder, name = layout.pki, certificate.name
    _key(layout, name)
    run(
        [
            "openssl",
            "req",
            "-new",
            "-key",
            f"{name}.key",
            "-subj",
            certificate.subject,
            "-out",
            f"{name}.csr",
        ],
        cwd=folder,
    )
    extensions = "extendedKeyUsage=serverAuth,clientAuth\n"
    if certificate.names:
        extensions += f"subjectAltName={','.join(certificate.names)}\n"
    (folder / f"{name}.ext").write_text(extensions)
    signer = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", DAYS]
    run(
        [
            "openssl",
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            *signer,
            "-extfile",
            f"{name}.ext",
            "-out",
            f"{name}.crt",
        ],
        cwd=folder,
    )
    for leftover in ("csr", "ext"):
        (folder / f"{name}.{leftover}").unlink()
