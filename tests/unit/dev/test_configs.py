import json
import tomllib
from pathlib import Path

from codesessions_dev.layout import Layout, Ports
from codesessions_dev.local import addons, configs, pki

LAYOUT = Layout(ports=Ports(https=1, http=2, apiserver=3, registry=4))


def test_containerd_configuration_is_toml_that_keeps_everything_in_our_folders() -> None:
    config = tomllib.loads(configs.containerd(LAYOUT, Path("/programs")))
    cri = config["plugins"]["io.containerd.cri.v1.runtime"]
    assert config["root"].startswith(str(LAYOUT.state))
    assert cri["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/programs/runc"
    assert cri["containerd"]["runtimes"]["runc"]["options"]["Root"].startswith(str(LAYOUT.run))


def test_the_forwarder_listens_outside_and_connects_inside() -> None:
    config = json.loads(configs.forwarder(LAYOUT))["static_resources"]
    addresses = [listener["address"]["socket_address"] for listener in config["listeners"]]
    assert {address["address"] for address in addresses} == {"127.0.0.1"}
    assert {address["port_value"] for address in addresses} == {1, 2, 3, 4}
    assert all(address["network_namespace_filepath"] == "/proc/self/fd/9" for address in addresses)
    names = {cluster["name"] for cluster in config["clusters"]}
    for listener in config["listeners"]:
        assert listener["filter_chains"][0]["filters"][0]["typed_config"]["cluster"] in names


def test_kubelet_puts_pods_below_a_control_group_of_its_own() -> None:
    assert json.loads(configs.kubelet(LAYOUT))["cgroupRoot"] == "/codesessions-dev"


def test_pod_addresses_are_enough_for_the_pods_the_kubelet_takes() -> None:
    subnet = json.loads(configs.cni(LAYOUT))["plugins"][0]["ipam"]["ranges"][0][0]["subnet"]
    size = 2 ** (32 - int(subnet.split("/")[1]))
    assert json.loads(configs.kubelet(LAYOUT))["maxPods"] < size - 3


def test_every_kubeconfig_user_has_a_certificate() -> None:
    names = {certificate.name for certificate in pki.wanted(LAYOUT)}
    assert {"admin", "controller-manager", "scheduler", "proxy", "kubelet", "ingress"} <= names


def test_addons_make_one_default_storage_class_and_one_default_ingress_class() -> None:
    kinds = [item["kind"] for item in addons.objects(LAYOUT)]
    assert kinds.count("StorageClass") == 1
    assert kinds.count("IngressClass") == 1
    assert LAYOUT.dns_ip in json.dumps(addons.objects(LAYOUT))
