"""Build pods of both engines on the cluster, and what they make, run as pods that may do nothing."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from codesessions_dev import images
from codesessions_dev.envfile import Access
from codesessions_dev.layout import Layout, Ports
from codesessions_dev.local.cluster import LocalCluster
from codesessions_oci.registry import Registry
from codesessions_oci.settings import RegistrySettings
from codesessions_operator.builds.engine import BuildRequest, BuildSettings, Engine
from codesessions_operator.builds.engines.buildah import Buildah
from codesessions_operator.builds.engines.layers import Layers
from codesessions_operator.builds.facts import BuildState, read_build_pod
from support.building import push_source, zipped
from support.kubectl import Kubectl
from support.sidecar import until

_STRICT = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


@dataclass
class Builds:
    """Build pods in a namespace that enforces Pod Security restricted."""

    kubectl: Kubectl
    settings: BuildSettings
    outside: RegistrySettings
    cluster: LocalCluster
    count: int = 0
    log: str = ""
    seconds: float = 0.0
    pods: list[str] = field(default_factory=list)
    engine: Engine = field(default_factory=Layers)
    organization: str = field(default_factory=lambda: f"builds-test-{secrets.token_hex(3)}")
    """Its own in each run: what an earlier one has kept, packages too, would be taken."""

    def repository(self, name: str) -> str:
        """Deeper than an App's, so that the operator does not take it for one and sweep it."""
        return f"{self.outside.repository(self.organization, 'of-a-test')}/{name}"

    async def run(self, files: dict[str, str]) -> Any:
        """Build, wait, and return the facts of the pod."""
        async with Registry(self.outside) as registry:
            digest = await push_source(registry, self.repository("sources"), zipped(files))
        self.count += 1
        name = f"build-{self.count}"
        request = BuildRequest(
            namespace=self.kubectl.namespace,
            build=name,
            app="app-1",
            source_digest=digest,
            source_repository=self.repository("sources"),
            image_repository=self.repository("app-1"),
        )
        spec = self.engine.pod_spec(request, self.settings) | {"restartPolicy": "Never"}
        containers = [*spec.get("initContainers", []), *spec["containers"]]
        for container in containers:
            container["terminationMessagePolicy"] = "FallbackToLogsOnError"
        begun = time.monotonic()
        self.kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

        def ended() -> Any:
            facts = read_build_pod(self.kubectl.get("pod", name) or {"metadata": {}})
            return facts if facts.state is not BuildState.RUNNING else None

        facts = until("the build ends", ended, seconds=300)
        self.seconds = time.monotonic() - begun
        self.log = "".join(self._log(name, each["name"]) for each in containers if self._ran(name, each["name"]))
        return facts

    def _log(self, pod: str, container: str) -> str:
        return self.kubectl("logs", pod, "-c", container)

    def _ran(self, pod: str, container: str) -> bool:
        status = (self.kubectl.get("pod", pod) or {})["status"]
        found = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        return any(each["name"] == container and "terminated" in each["state"] for each in found)

    def serve(self, digest: str) -> str:
        """Run an image as an application would run; its pod's name."""
        name = f"app-{secrets.token_hex(3)}"
        container = {
            "name": "app",
            "image": f"{self.settings.pull_prefix}/{self.organization}/of-a-test/app-1@{digest}",
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
            "securityContext": _STRICT,
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }
        security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
        spec = {"containers": [container], "securityContext": security, "volumes": [{"name": "tmp", "emptyDir": {}}]}
        self.kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        self.kubectl.wait(f"pod/{name}", "condition=Ready", seconds=240)
        self.pods.append(name)
        return name

    def fetch(self, pod: str, path: str = "/") -> str:
        """What it answers, asked from within its own pod."""
        code = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080{path}').read().decode())"
        return self.kubectl("exec", pod, "--", "python3", "-c", code)


@pytest.fixture(scope="module")
def builds(access: Access) -> Iterator[Builds]:
    yield from _builds(access, "restricted")


@pytest.fixture(scope="module")
def dockerfiles(access: Access) -> Iterator[Builds]:
    """Builds of Dockerfiles, in a namespace that allows them."""
    for found in _builds(access, "baseline"):
        found.engine = Buildah()
        yield found


def _builds(access: Access, level: str) -> Iterator[Builds]:
    cluster = LocalCluster(Layout(ports=Ports.from_environment()))
    built = images.ensure(cluster)
    kubectl = Kubectl(access.kubeconfig, f"builds-{secrets.token_hex(3)}")
    labels = {"pod-security.kubernetes.io/enforce": level}
    metadata = {"name": kubectl.namespace, "labels": labels}
    Kubectl(access.kubeconfig, "default").apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    prefix = cluster.registry.partition("://")[2]
    settings = BuildSettings(
        builder_image=f"{images.PREFIX}/platform:{built.tags['platform']}",
        runtime_images=(("runtime", built.runtime),),
        registry_url=cluster.registry,
        buildah_image=built.buildah,
        pull_prefix=prefix,
    )
    path = prefix.partition("/")[2]
    outside = RegistrySettings.read(
        {"CODESESSIONS_REGISTRY_URL": f"http://127.0.0.1:{cluster.layout.ports.registry}/{path}"}
    )
    assert outside is not None
    yield Builds(kubectl, settings, outside, cluster)
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


async def test_a_static_site_is_built_and_served(builds: Builds) -> None:
    facts = await builds.run({"index.html": "<h1>hello</h1>", "a.css": "body {}", "404.html": "nothing here"})
    assert facts.state is BuildState.DONE, (facts, builds.log)
    print(f"built in {builds.seconds:.1f} s\n{builds.log}")
    pod = builds.serve(facts.result.image_digest)
    assert "<h1>hello</h1>" in builds.fetch(pod)


async def test_a_python_script_is_built_and_served(builds: Builds) -> None:
    script = (
        "import http.server, os\n"
        "os.chdir('/app')\n"
        "http.server.ThreadingHTTPServer(('', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler)"
        ".serve_forever()\n"
    )
    facts = await builds.run({"main.py": script, "hello.txt": "from python"})
    assert facts.state is BuildState.DONE, (facts, builds.log)
    assert "from python" in builds.fetch(builds.serve(facts.result.image_digest), "/hello.txt")


async def test_a_node_server_with_a_build_step_is_built_and_served(builds: Builds) -> None:
    package = {"scripts": {"build": "node make.js", "start": "node server.js"}}
    make = "require('fs').writeFileSync('made.txt', 'made by the build'); console.log('building')"
    server = (
        "const made = require('fs').readFileSync('made.txt');\n"
        "require('http').createServer((_, res) => res.end(made)).listen(process.env.PORT);\n"
    )
    facts = await builds.run({"package.json": json.dumps(package), "make.js": make, "server.js": server})
    assert facts.state is BuildState.DONE, (facts, builds.log)
    assert "building" in builds.log
    assert "made by the build" in builds.fetch(builds.serve(facts.result.image_digest))


async def test_a_project_that_nobody_understands_is_told_what_was_looked_for(builds: Builds) -> None:
    facts = await builds.run({"notes.txt": "x"})
    assert (facts.state, facts.result.code) == (BuildState.FAILED, "no_language")
    assert "package.json" in facts.result.error


async def test_packages_without_a_way_to_an_index_fail_with_the_value_to_set(builds: Builds) -> None:
    main = "from flask import Flask\napp = Flask(__name__)\n"
    facts = await builds.run({"main.py": main, "requirements.txt": "flask\n"})
    assert (facts.state, facts.result.code) == (BuildState.FAILED, "no_package_index"), builds.log
    assert "build.env" in facts.result.error


async def test_packages_come_by_the_proxy_that_build_env_names(builds: Builds) -> None:
    env = builds.cluster.build_env
    if not env:
        pytest.skip("this machine has no package index")
    bundle = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bundle"}}
    builds.kubectl.apply({**bundle, "data": {"ca.crt": builds.cluster.build_ca}})
    without = builds.settings
    builds.settings = replace(without, env=tuple(env.items()), ca_bundle_config_map="bundle")
    try:
        main = "from flask import Flask\napp = Flask(__name__)\n@app.get('/')\ndef page(): return 'flask here'\n"
        facts = await builds.run({"main.py": main, "requirements.txt": "flask\n"})
        assert facts.state is BuildState.DONE, (facts, builds.log)
        assert "flask here" in builds.fetch(builds.serve(facts.result.image_digest))
        package = {"dependencies": {"left-pad": "1.3.0"}, "scripts": {"start": "node s.js"}}
        server = (
            "const pad = require('left-pad');\n"
            "require('http').createServer((_, res) => res.end(pad('node', 6, '.'))).listen(process.env.PORT);\n"
        )
        facts = await builds.run({"package.json": json.dumps(package), "s.js": server})
        assert facts.state is BuildState.DONE, (facts, builds.log)
        assert "..node" in builds.fetch(builds.serve(facts.result.image_digest))
    finally:
        builds.settings = without


def _dockerfile(builds: Builds, *lines: str) -> str:
    runtime = builds.settings.runtime_images[0][1]  # no other base can be pulled here
    return "\n".join((f"FROM {runtime}", *lines)) + "\n"


async def test_a_dockerfile_is_built_as_root_of_a_user_namespace_and_served(dockerfiles: Builds) -> None:
    run = "RUN id -u >whoami.txt && awk '{print $2}' /proc/self/uid_map >above.txt && grep NoNewPrivs /proc/self/status"
    serve = 'CMD ["python3", "-m", "http.server", "8080"]'
    text = _dockerfile(dockerfiles, "USER root", "COPY site /app", run, "USER 1000", serve)
    facts = await dockerfiles.run({"Dockerfile": text, "site/index.html": "<h1>by buildah</h1>"})
    print(f"built in {dockerfiles.seconds:.1f} s\n{dockerfiles.log}")
    assert facts.state is BuildState.DONE, (facts, dockerfiles.log)
    assert facts.result.language == "dockerfile"
    assert facts.result.base_digest
    assert facts.result.statement_digest
    assert "NoNewPrivs:\t1" in dockerfiles.log
    pod = dockerfiles.serve(facts.result.image_digest)
    assert "<h1>by buildah</h1>" in dockerfiles.fetch(pod)
    assert dockerfiles.fetch(pod, "/whoami.txt").strip() == "0"


async def test_a_broken_dockerfile_fails_with_its_last_lines(dockerfiles: Builds) -> None:
    text = _dockerfile(dockerfiles, "RUN echo the reason of it; exit 3")
    facts = await dockerfiles.run({"Dockerfile": text})
    assert (facts.state, facts.reason) == (BuildState.FAILED, "BuildFailed"), (facts, dockerfiles.log)
    assert "the reason of it" in facts.message
    assert "exit status 3" in facts.message


async def test_buildah_without_a_dockerfile_says_so(dockerfiles: Builds) -> None:
    facts = await dockerfiles.run({"index.html": "x"})
    assert (facts.state, facts.result.code) == (BuildState.FAILED, "no_dockerfile"), (facts, dockerfiles.log)
