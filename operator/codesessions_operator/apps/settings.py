"""What the operator is told of applications and builds by its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from codesessions_operator.builds.engine import BuildSettings
from codesessions_operator.settings import SettingsError, names_of, read_as, setting, words_of


@dataclass(frozen=True)
class AppSettings:
    """Every setting; the environment variable is CODESESSIONS_ and the name in capitals."""

    apps_domain: str = setting("", "applications are host names below it; empty: no routes are made")
    apps_url: str = setting("https://{host}", "where people reach an application")
    apps_route: str = setting("ingress", "how requests reach applications", kind="ingress|httproute|none")
    apps_ingress_class: str = setting("", "IngressClass; empty: the cluster's default")
    apps_annotations: str = setting("{}", "annotations of Ingresses or HTTPRoutes, JSON", kind="words")
    apps_tls: str = setting("true", "whether Ingresses ask for TLS", kind="true|false")
    apps_tls_secret: str = setting(
        "", "Secret with their certificate; {app} is the App's name; empty: the controller's default certificate"
    )
    apps_gateway: str = setting("", "Gateway that HTTPRoutes attach to: NAMESPACE/NAME")
    apps_custom_hosts: str = setting("false", "whether an App may name any host", kind="true|false")
    apps_cpu_request: str = setting("25m", "where an App says nothing", kind="quantity")
    apps_memory_request: str = setting("64Mi", "where an App says nothing", kind="quantity")
    apps_cpu_limit: str = setting("1", "where an App says nothing", kind="quantity")
    apps_memory_limit: str = setting("512Mi", "where an App says nothing", kind="quantity")
    apps_egress: str = setting("0.0.0.0/0,::/0", "networks applications may reach", kind="networks")
    apps_ingress_from: str = setting(
        "[]", "who may reach applications: NetworkPolicyPeers, JSON; none: everybody", kind="peers"
    )
    apps_runtime_class: str = setting("", "RuntimeClass of applications")
    apps_pull_secrets: str = setting("", "names of pull secrets in tenant namespaces, separated by commas")
    build_image: str = setting("", "image of the builder program")
    build_runtime_images: str = setting("{}", "base images in the registry: static, python, node; JSON", kind="words")
    build_buildah_image: str = setting("", "image with buildah; empty: no Dockerfile is built")
    build_buildah_seccomp_profile: str = setting("", "its seccomp profile on the nodes; empty: none is named")
    build_env: str = setting("{}", "environment of build pods: proxies, package indexes; JSON", kind="words")
    build_ca_config_map: str = setting("", "ConfigMap in tenant namespaces with ca.crt for builds")
    build_cpu_request: str = setting("100m", "of a build pod", kind="quantity")
    build_memory_request: str = setting("256Mi", "of a build pod", kind="quantity")
    build_cpu_limit: str = setting("2", "of a build pod", kind="quantity")
    build_memory_limit: str = setting("2Gi", "of a build pod", kind="quantity")
    build_storage_limit: str = setting("4Gi", "of a build pod's scratch space", kind="quantity")
    build_runtime_class: str = setting("", "RuntimeClass of build pods")
    build_egress: str = setting("0.0.0.0/0,::/0", "networks builds may reach besides the registry", kind="networks")
    build_credentials_secret: str = setting(
        "", "Secret in tenant namespaces with config.json for the registry; empty: builds push as nobody"
    )
    build_kept_seconds: str = setting(
        "3600", "how long a Build's record is kept at least, when what it left in the registry is gone", kind="number"
    )
    source_entries: str = setting("50000", "files and folders a source may have", kind="number")
    source_file_bytes: str = setting(str(512 << 20), "bytes a file of a source may have", kind="number")
    source_total_bytes: str = setting(str(2 << 30), "bytes a source may have", kind="number")

    def builds(self, registry_url: str, pull_prefix: str, pull_policy: str) -> BuildSettings:
        """What engines are told."""
        return BuildSettings(
            builder_image=self.build_image,
            runtime_images=tuple(sorted(words_of(self.build_runtime_images).items())),
            buildah_image=self.build_buildah_image,
            buildah_seccomp_profile=self.build_buildah_seccomp_profile,
            image_pull_policy=pull_policy,
            image_pull_secrets=names_of(self.apps_pull_secrets),
            registry_url=registry_url,
            pull_prefix=pull_prefix,
            ca_bundle_config_map=self.build_ca_config_map,
            env=tuple(sorted(words_of(self.build_env).items())),
            cpu_request=self.build_cpu_request,
            memory_request=self.build_memory_request,
            cpu_limit=self.build_cpu_limit,
            memory_limit=self.build_memory_limit,
            storage_limit=self.build_storage_limit,
            runtime_class=self.build_runtime_class,
        )


def read_app_settings(environment: Mapping[str, str] = os.environ) -> AppSettings:
    """Settings from the environment. Raises SettingsError that names the variable."""
    found = read_as(AppSettings, environment)
    for name in ("build_kept_seconds", "source_entries", "source_file_bytes", "source_total_bytes"):
        if not getattr(found, name).isdigit():
            raise SettingsError(f"CODESESSIONS_{name.upper()} must be a whole number, it is {getattr(found, name)!r}")
    return found
