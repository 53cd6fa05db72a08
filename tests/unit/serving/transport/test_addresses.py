"""The accepted addresses, and the errors for all others."""

from __future__ import annotations

import pytest

from client.__main__ import run
from orchestrator.settings import OrchestratorSettings
from services.generator.settings import GeneratorSettings
from serving.errors import BadSettings
from serving.process.settings import from_environment
from serving.transport.addresses import checked_address, hosts_of
from serving.transport.proxies import proxy_for
from serving.transport.tls import is_local


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:50050", "localhost:1", "[::1]:50050", "gpu-box.example:65535", "dns:///pose:50052", "unix:/run/pose",
     "ipv4:10.0.0.1:50052,10.0.0.2:50052", "ipv6:[::1]:1,[::2]:2", "unix-abstract:pose"],
)  # fmt: skip
def test_addresses_that_grpc_knows_are_taken(address):
    """HOST:PORT, IPv6 in brackets, names for several replicas and sockets are accepted."""
    assert checked_address(address) == address


# the address, the hosts in it, whether it is on this machine
FORMS = [
    ("127.0.0.1:1", ("127.0.0.1",), True),
    ("gpu-box.example:65535", ("gpu-box.example",), False),
    ("[::1]:50050", ("::1",), True),
    ("[2001:db8::1]:50050", ("2001:db8::1",), False),
    ("dns:127.0.0.1:1", ("127.0.0.1",), True),
    ("dns:pose:1", ("pose",), False),
    ("dns:///localhost:1", ("localhost",), True),
    ("dns:///pose.dance.svc:1", ("pose.dance.svc",), False),
    ("ipv4:127.0.0.1:1,127.0.0.2:2", ("127.0.0.1", "127.0.0.2"), True),
    ("ipv4:127.0.0.1:1,10.0.0.2:2", ("127.0.0.1", "10.0.0.2"), False),
    ("ipv6:[::1]:1,[2001:db8::1]:2", ("::1", "2001:db8::1"), False),
    ("ipv6:[::1]:1", ("::1",), True),
    ("unix:/run/pose", (), True),
    ("unix:///run/pose:1", (), True),
    ("unix-abstract:pose", (), True),
]


@pytest.mark.parametrize(("address", "hosts", "local"), FORMS)
def test_every_form_is_taken_apart_in_one_way(address: str, hosts: tuple[str, ...], local: bool):
    """The hosts of an address are those checked for this machine and for `no_proxy`."""
    assert checked_address(address) == address
    assert hosts_of(address) == hosts
    assert is_local(address) is local
    given = {"http_proxy": "http://p:1", "no_proxy": ",".join(hosts)}
    choice = proxy_for(address, given)
    assert choice is not None
    said = f"no_proxy exempts {', '.join(hosts)}" if hosts else "a socket file is on this machine"
    assert choice.unused_because == said
    other = proxy_for(address, {**given, "no_proxy": "other"})
    assert other is not None
    assert bool(other.unused_because) is not bool(hosts)


WRONG = [
    ("127.0.0.1", "127.0.0.1 has no port"),
    ("localhost", "localhost has no port"),
    ("[::1]", "[::1] has no port"),
    ("::1", "put an IPv6 address in brackets"),
    ("::1:50050", "put an IPv6 address in brackets"),
    ("http://127.0.0.1:50050", "begins with http://"),
    ("https://gpu-box.example", "begins with https://"),
    (":50050", "has no host"),
    ("gpu box:50050", "has no host"),
    ("box:0", "has '0' as its port"),
    ("box:65536", "has '65536' as its port"),
    ("box:http", "has 'http' as its port"),
    ("box:50050/", "has '50050/' as its port"),
    ("", "an empty string has no port"),
    ("ipv4:10.0.0.1:50052,10.0.0.2", "has no port"),
    ("dns:///pose", "has no port"),
    ("unix:", "names no socket"),
]


@pytest.mark.parametrize(("address", "told"), WRONG)
def test_an_invalid_address_is_named(address, told):
    """The error states what was given, what is wrong, and what was expected."""
    with pytest.raises(ValueError, match=r"expected HOST:PORT, for example 127\.0\.0\.1:50050") as caught:
        checked_address(address)
    assert told in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1", "http://127.0.0.1:50050"])
@pytest.mark.parametrize(
    "command",
    [["transfer", "clip.mp4", "--actor", "me"], ["fit", "clip.mp4"], ["actors"], ["doctor"]],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("by", ["option", "environment"])
def test_every_command_says_what_a_server_is(capsys, monkeypatch, command, address, by):
    """A bad address from --server or DANCE_SERVER is one line with exit code 2."""
    if by == "environment":
        monkeypatch.setenv("DANCE_SERVER", address)
    assert run([*command, *(["--server", address] if by == "option" else [])]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"--server: {address} " in told
    assert "expected HOST:PORT, for example 127.0.0.1:50050" in told
    assert "another machine" not in told


@pytest.mark.parametrize("name", ["POSE", "NORMALIZE", "FACE", "AGENT", "TRITON"])
@pytest.mark.parametrize("address", ["", "pose", "http://pose:50052"])
def test_settings_that_are_addresses_are_checked_too(name, address):
    """A bad address in a setting is refused by the setting's name, before the service starts."""
    variable = f"ORCHESTRATOR_{name}_ADDRESS"
    with pytest.raises(BadSettings, match=rf"{name.lower()}_address: .*; expected HOST:PORT"):
        from_environment(OrchestratorSettings, "ORCHESTRATOR_", {variable: address})


def test_the_address_of_another_triton_is_checked(tmp_path):
    """The generator's addresses are checked like the orchestrator's."""
    environment = {"GENERATOR_TRITON_ADDRESS": "triton", "GENERATOR_REPOSITORY_ROOT": str(tmp_path)}
    with pytest.raises(BadSettings, match="triton_address: triton has no port; expected HOST:PORT"):
        from_environment(GeneratorSettings, "GENERATOR_", environment)
