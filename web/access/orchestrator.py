"""The way to the orchestrator, with each visitor's own token."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from web.access.consents import StatedConsents
from web.access.visitors import Visitor


class Orchestrator:
    """Opens connections to one orchestrator.

    access: the gateway's own, also for what no visitor asks for. stated_except: as in `StatedConsents`.
    """

    def __init__(self, access: ServerAccess, stated_except: Collection[str] | None = None) -> None:
        self.access = access
        self.consents = StatedConsents(stated_except)

    def client(self, visitor: Visitor | None = None) -> DanceClient:
        """Return a new connection, an async context manager, with the visitor's token or else the gateway's own.

        Each session needs one of its own, because a session that reconnects replaces its client's channel.
        """
        return self.client_for("" if visitor is None else visitor.token)

    def client_for(self, token: str) -> DanceClient:
        """Return a new connection with `token`; "" for the gateway's own credentials."""
        return DanceClient(self.access_for(token))

    def client_without_token(self) -> DanceClient:
        """Return a new connection that shows no token, which an orchestrator with sign-in must refuse."""
        return DanceClient(replace(self.access, token="", token_file=None))

    def access_for(self, token: str) -> ServerAccess:
        """Return how to reach the orchestrator with `token`; "" for the gateway's own credentials."""
        return replace(self.access, token=token, token_file=None) if token else self.access
