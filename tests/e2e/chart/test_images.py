"""What is in the images as they run: our programs, and nothing that a burglar could use."""

from __future__ import annotations

import pytest
from support.kubectl import Kubectl
from support.session import Sessions, until

LOOK = """
import os
tools = {"sh", "bash", "dash", "busybox", "apt", "apt-get", "dpkg", "pip", "pip3", "gcc", "cc", "perl", "curl", "wget"}
found, special = [], []
for folder in ("/bin", "/sbin", "/usr", "/opt", "/etc", "/lib"):
    for here, _, names in os.walk(folder):
        paths = [os.path.join(here, name) for name in names]
        found += [path for path in paths if os.path.basename(path) in tools and os.access(path, os.X_OK)]
        special += [path for path in paths if not os.path.islink(path) and os.stat(path).st_mode & 0o6000]
writable = [place for place in ("/", "/usr", "/etc", "/opt", "/usr/local/bin") if os.access(place, os.W_OK)]
print(os.getuid() > 0, found, special, writable)
"""


def looked(kubectl: Kubectl, pod: str, container: str) -> str:
    """What is found in a container; a pod that is on its way out may be named first."""
    words = ("exec", pod, f"--container={container}", "--", "python3", "-c", LOOK)
    return str(until(f"{pod} answers", lambda: kubectl.tries(*words).stdout.strip()))


@pytest.mark.parametrize("component", ["operator", "api", "gateway"])
def test_a_service_has_no_shell_no_package_manager_and_nothing_to_write_to(kubectl: Kubectl, component: str) -> None:
    system = Kubectl(kubectl.kubeconfig, "codesessions-system")
    assert looked(system, f"deployment/codesessions-{component}", component) == "True [] [] []"


def test_the_sidecar_has_no_shell_no_package_manager_and_nothing_to_write_to(
    sessions: Sessions, kubectl: Kubectl
) -> None:
    assert looked(kubectl, sessions.create("images").pod, "pty") == "True [] [] []"
