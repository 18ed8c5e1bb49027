import pytest
from codesessions_dev.layout import Ports


def test_ports_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESESSIONS_DEV_HTTPS_PORT", "9443")
    assert Ports.from_environment() == Ports(https=9443)


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "abc", "8443 "])
def test_what_is_no_port_is_refused_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("CODESESSIONS_DEV_REGISTRY_PORT", text)
    with pytest.raises(ValueError, match="CODESESSIONS_DEV_REGISTRY_PORT"):
        Ports.from_environment()
