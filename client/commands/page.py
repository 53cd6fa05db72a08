"""The options of commands that serve the page, and what they tell the user."""

from __future__ import annotations

import os
import sys
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from client.connection.server_access import ServerAccess
from client.screens.preview_window import display_exists
from client.terminal.display import Display
from serving.transport.tls import ChannelTls


@dataclass(frozen=True, kw_only=True, slots=True)
class PageOptions:
    """Where the page is served, and whether a browser opens it."""

    page_port: Annotated[
        int, typer.Option("--web-port", min=0, max=65535, help="The page's port; 0 takes a free one.")
    ] = 8080
    opens: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser, if there is a screen.")
    ] = True

    def tell(self, port: int, display: Display) -> None:
        """Print the page's address, and open it."""
        scheme = "https" if os.environ.get("WEB_TLS_CERTIFICATE") else "http"  # the gateway inherits our variables
        address = f"{scheme}://localhost:{port}/"
        display.note(f"dance in your browser: {address}")
        if self.opens and sys.stderr.isatty() and display_exists():
            with suppress(webbrowser.Error):
                webbrowser.open(address)


def page_settings(access: ServerAccess, port: int) -> dict[str, str]:
    """Return the `WEB_*` variables of a gateway in front of a server."""
    settings = {"WEB_SERVER": access.address, "WEB_PORT": str(port), "WEB_SERVER_INSECURE": str(access.insecure)}
    tls = access.tls or ChannelTls(ca=Path())
    paths = {
        "WEB_SERVER_CA": None if access.tls is None else tls.ca,
        "WEB_SERVER_CERTIFICATE": tls.certificate,
        "WEB_SERVER_KEY": tls.key,
        "WEB_SERVER_TOKEN_FILE": access.token_file,
    }
    return settings | {name: str(path.resolve()) for name, path in paths.items() if path is not None}
