"""Where a server answers, under which names, and who needs a key."""

import pytest

from lamarck.errors import LamarckError
from lamarck.serve.address import KEY_VARIABLE, bind, required_key


def test_other_machines_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert required_key("127.0.0.1") is None
    assert required_key("::1") is None
    for host in ("0.0.0.0", "::", "gpu.example.org", ""):
        with pytest.raises(LamarckError, match=KEY_VARIABLE):
            required_key(host)
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(LamarckError, match="16 characters") as error:
        required_key("0.0.0.0")
    assert "short" not in str(error.value)
    monkeypatch.setenv(KEY_VARIABLE, "long enough to be a key")
    assert required_key("0.0.0.0") == required_key("127.0.0.1") == "long enough to be a key"


def test_this_machine_is_called_by_its_own_names_alone() -> None:
    address = bind("127.0.0.1", 0)
    assert address.from_here() == f"http://127.0.0.1:{address.port}"
    assert "127.0.0.1" in address.hosts and "*" not in address.hosts
    address.listener.close()


def test_all_addresses_are_reached_from_here_by_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "long enough to be a key")
    address = bind("0.0.0.0", 0)
    assert address.from_here() == f"http://127.0.0.1:{address.port}"
    assert address.hosts == ["*"]
    address.listener.close()
