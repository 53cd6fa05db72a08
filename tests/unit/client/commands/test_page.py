"""What a gateway is told by the commands that start it."""

from __future__ import annotations

from pathlib import Path

from client.commands.page import page_settings
from client.connection.server_access import ServerAccess
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
