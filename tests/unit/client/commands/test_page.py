"""What a gateway is told by the commands that start it."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.commands.page import PageOptions, page_settings
from client.connection.server_access import ServerAccess
from client.terminal.display import Display
from serving.process.settings import from_environment
from serving.transport.tls import ChannelTls
from web.settings import WebSettings


def test_a_gateway_reaches_the_server_as_the_command_would(tmp_path: Path):
    """The address, the files and --insecure of `dance web` become settings that the gateway reads back the same."""
    secured = ServerAccess("dance.example:443", ChannelTls(ca=tmp_path / "ca.pem"), tmp_path / "token")
    for access in (ServerAccess("127.0.0.1:50050"), ServerAccess("10.0.0.5:50050", insecure=True), secured):
        settings = from_environment(WebSettings, "WEB_", page_settings(access, 8080))
        assert settings.access() == access
        assert settings.port == 8080


def test_the_address_has_the_scheme_that_the_gateway_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A gateway with a certificate, which it takes from the same variables, answers https only."""
    monkeypatch.delenv("WEB_TLS_CERTIFICATE", raising=False)
    PageOptions(opens=False).tell(8080, Display())
    monkeypatch.setenv("WEB_TLS_CERTIFICATE", "cert.pem")
    PageOptions(opens=False).tell(8443, Display())
    said = capsys.readouterr()
    assert "http://localhost:8080/" in said.out + said.err
    assert "https://localhost:8443/" in said.out + said.err
