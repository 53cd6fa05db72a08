"""Visitors: a browser, known by a random cookie, and the token that it signed in with."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from web.access.refusals import Refused

COOKIE: Final = "dance_visitor"
_COOKIE_SECONDS: Final = 30 * 24 * 3600
_MOST_SIGNED_IN: Final = 10_000
_DIGITS: Final = 32
_IPV6_HOST_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Visitor:
    """One browser.

    id: 32 hex digits, the name of what the visitor owns. It is a hash of the cookie, so that a folder's name does not
    reveal the cookie. limits_key: who is counted for per-user limits: the token, otherwise the browser's address, since
    a browser can drop its cookie. token: passed on to the orchestrator; "" without sign-in.
    """

    id: str
    limits_key: str
    token: str = field(default="", repr=False)

    @property
    def limits_digits(self) -> str:
        """`limits_key` as 32 hex digits, for what is stored."""
        return _hashed(self.limits_key)


class Visitors:
    """The visitors of this gateway. Tokens are kept in memory only.

    needs_token: whether every visitor has to sign in with a token of the orchestrator.
    signed_in_seconds: after which a visitor signs in again. clock: monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        needs_token: bool,
        signed_in_seconds: float = 12 * 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.needs_token = needs_token
        self._signed_in_seconds = signed_in_seconds
        self._clock = clock
        self._tokens: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def of(self, connection: HTTPConnection) -> Visitor:
        """Return the visitor of a request. Raises Refused 401 for one without a cookie or, if needed, a token."""
        cookie = connection.cookies.get(COOKIE, "")
        if not _is_cookie(cookie):
            raise Refused(401, "no_visit", "This browser has no visit here yet: load the page, and allow its cookie.")
        visitor_id = _hashed(cookie)
        token, until_s = self._tokens.get(visitor_id, ("", 0.0))
        if self.needs_token and (not token or self._clock() > until_s):
            raise Refused(401, "sign_in", "This page needs your token: sign in with it.")
        return Visitor(visitor_id, _limits_key(connection, token), token)

    def arrive(self, connection: HTTPConnection, token: str, response: Response) -> Visitor:
        """Begin or continue a visit: keep the token, and set the cookie in `response`.

        token: one that the orchestrator has accepted; "" for none. An old token stays if `token` is empty.
        """
        cookie = connection.cookies.get(COOKIE, "")
        if not _is_cookie(cookie):
            cookie = secrets.token_hex(_DIGITS // 2)
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=_COOKIE_SECONDS,
            httponly=True,
            secure=connection.url.scheme == "https",
            samesite="strict",
        )
        visitor_id = _hashed(cookie)
        if token:
            self._tokens[visitor_id] = token, self._clock() + self._signed_in_seconds
            self._tokens.move_to_end(visitor_id)
            while len(self._tokens) > _MOST_SIGNED_IN:
                self._tokens.popitem(last=False)
        kept = self._tokens.get(visitor_id, ("", 0.0))[0]
        return Visitor(visitor_id, _limits_key(connection, kept), kept)

    def token_of(self, visitor_id: str) -> str | None:
        """Return the token of a visitor for work that outlives a request; None if a sign-in is needed first."""
        token, until_s = self._tokens.get(visitor_id, ("", 0.0))
        if self.needs_token and (not token or self._clock() > until_s):
            return None
        return token

    def leave(self, visitor: Visitor, response: Response) -> None:
        """Forget the visitor's token, and remove the cookie in `response`: the browser becomes another visitor."""
        self._tokens.pop(visitor.id, None)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _limits_key(connection: HTTPConnection, token: str) -> str:
    if token:
        return "token:" + _hashed(token)
    return "address:" + network_of(connection.scope)


def network_of(scope: Scope) -> str:
    """Return a client's address; of IPv6 only the first half: one machine can choose the other half as it likes."""
    address = str(scope["client"][0]) if scope.get("client") else "unknown"
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS)) + "/64"


def _is_cookie(text: str) -> bool:
    return len(text) == _DIGITS and all(character in "0123456789abcdef" for character in text)


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
