"""Who may do what: tickets, visitors, origins, limits."""

from __future__ import annotations

import json

import pytest
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from web.access.headers import OriginCheck
from web.access.limits import Limits
from web.access.refusals import Refused
from web.access.tickets import Tickets
from web.access.visitors import COOKIE, Visitor, Visitors


class Clock:
    """A monotonic clock that stands still."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def connection(cookie: str = "", *, host: str = "10.0.0.7", scheme: str = "http") -> HTTPConnection:
    """A request of a browser with this cookie."""
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie else []
    return HTTPConnection(
        {
            "type": "http", "scheme": scheme, "path": "/", "headers": headers, "client": (host, 1),
            "server": ("dance.example", 443), "query_string": b"",
        }
    )  # fmt: skip


def cookie_of(response: Response) -> str:
    """The cookie that a response sets, with its attributes."""
    return response.headers["set-cookie"]


def test_a_ticket_is_valid_once():
    """The second use of a ticket is refused, and so is one that was never issued."""
    tickets, visitor = Tickets(30.0, Clock()), Visitor("a" * 32, "address:10.0.0.7")
    ticket = tickets.issue(visitor)
    assert tickets.redeem(ticket) is visitor
    for given in (ticket, "made up", None, 7):
        with pytest.raises(Refused, match="ask for a new one"):
            tickets.redeem(given)


def test_a_ticket_expires():
    """A ticket that is used later than its time is refused."""
    clock = Clock()
    tickets = Tickets(30.0, clock)
    ticket = tickets.issue(Visitor("a" * 32, "address:10.0.0.7"))
    clock.now_s += 30.1
    with pytest.raises(Refused, match="too old"):
        tickets.redeem(ticket)


def test_a_visitor_is_known_again_by_a_cookie_that_scripts_cannot_read():
    """The cookie is random, HttpOnly and SameSite=Strict, Secure over https, and names the same visitor again."""
    visitors = Visitors(needs_token=False)
    first, other, secure = Response(), Response(), Response()
    anna = visitors.arrive(connection(), "", first)
    ben = visitors.arrive(connection(), "", other)
    assert anna.id != ben.id
    attributes = cookie_of(first).lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert "secure" not in attributes
    visitors.arrive(connection(scheme="https"), "", secure)
    assert "secure" in cookie_of(secure).lower()
    value = cookie_of(first).partition("=")[2].partition(";")[0]
    assert visitors.of(connection(value)) == anna
    assert value not in anna.id


@pytest.mark.parametrize("cookie", ["", "short", "../../../../../../../etc/passwd", "Z" * 32])
def test_a_cookie_that_is_none_of_ours_is_no_visit(cookie: str):
    """Only 32 hex digits are taken for a cookie."""
    with pytest.raises(Refused) as refused:
        Visitors(needs_token=False).of(connection(cookie))
    assert (refused.value.status, refused.value.word) == (401, "no_visit")


def test_with_sign_in_a_visitor_needs_a_token_that_is_not_too_old():
    """A token is asked for, kept for some hours, forgotten when the visitor leaves, and never part of the id."""
    clock = Clock()
    visitors = Visitors(needs_token=True, signed_in_seconds=3600.0, clock=clock)
    arrived = Response()
    visitors.arrive(connection(), "", arrived)
    value = cookie_of(arrived).partition("=")[2].partition(";")[0]

    def refused() -> str:
        with pytest.raises(Refused) as error:
            visitors.of(connection(value))
        return error.value.word

    assert refused() == "sign_in"
    visitor = visitors.arrive(connection(value), "secret", Response())
    assert visitors.of(connection(value)) == visitor
    assert visitor.token == visitors.token_of(visitor.id) == "secret"
    assert "secret" not in visitor.limits_key + visitor.id
    clock.now_s += 3601
    assert refused() == "sign_in"
    assert visitors.token_of(visitor.id) is None
    visitors.arrive(connection(value), "secret", Response())
    left = Response()
    visitors.leave(visitors.of(connection(value)), left)
    assert refused() == "sign_in"
    assert "max-age=0" in cookie_of(left).lower()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.7", "10.0.0.8", False),
        ("2001:db8:0:1::7", "2001:db8:0:1:ffff::8", True),
        ("2001:db8:0:1::7", "2001:db8:0:2::7", False),
        ("::ffff:10.0.0.7", "10.0.0.7", True),
        ("::ffff:10.0.0.7", "::ffff:10.0.0.8", False),
    ],
)
def test_addresses_of_one_machine_count_as_one_user(one: str, other: str, same: bool):
    """A machine with IPv6 may choose the second half of its address, and is the same user with each."""
    visitors = Visitors(needs_token=False)
    keys = [visitors.arrive(connection(host=host), "", Response()).limits_key for host in (one, other)]
    assert (keys[0] == keys[1]) is same


def test_a_token_is_not_shown_in_logs():
    """The text of a visitor, as an error may quote it, has no token."""
    assert "secret" not in repr(Visitor("a" * 32, "address:10.0.0.7", "secret"))


@pytest.mark.parametrize(
    ("host", "scheme", "origin", "refused"),
    [
        ("localhost:8080", "http", "http://localhost:8080", ""),
        ("127.0.0.1:8080", "http", "http://127.0.0.1:8080", ""),
        ("[::1]:8080", "http", "http://[::1]:8080", ""),
        ("10.0.0.7", "http", "http://10.0.0.7", ""),
        ("dance.example", "https", "https://dance.example", ""),
        ("known.example", "http", "https://known.example", ""),
        ("rebound.example:8080", "http", "http://rebound.example:8080", "host"),
        ("localhost.example", "http", "http://localhost.example", "host"),
        ("", "http", "http://", "host"),
        ("", "https", "https://", "origin"),
        ("localhost", "http", "https://localhost", "origin"),
        ("localhost", "http", "http://[", "origin"),
        ("localhost", "http", "", "origin"),
    ],
)
async def test_a_page_is_believed_under_names_that_nobody_else_can_choose(
    host: str, scheme: str, origin: str, refused: str
):
    """Over plain HTTP, a name that another site let point to this machine is refused; what is read is refused too."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await Response()(scope, receive, send)

    async def word(method: str) -> str:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        headers = [(b"host", host.encode()), (b"origin", origin.encode())]
        scope = {"type": "http", "method": method, "scheme": scheme, "path": "/api/actors", "headers": headers}
        await OriginCheck(served, ["https://known.example"])(scope, receive, send)
        body = b"".join(part.get("body", b"") for part in sent)
        return json.loads(body)["error"]["code"] if body else ""

    assert await word("POST") == refused
    assert await word("GET") == ("" if refused == "origin" else refused)


def test_limits_count_users_by_token_or_address():
    """Two browsers of one address share its limit; the owner of a token has the same limit at any address."""
    limits = Limits("live sessions", most=3, most_per_user=1)
    with limits.admitted(Visitor("a" * 32, "address:10.0.0.7")):
        with pytest.raises(Refused, match="You have 1 live sessions already"):
            limits.admitted(Visitor("b" * 32, "address:10.0.0.7")).__enter__()
        with limits.admitted(Visitor("c" * 32, "token:1")), limits.admitted(Visitor("d" * 32, "token:2")):
            assert limits.under_way == 3
            with pytest.raises(Refused, match="All 3 places") as full:
                limits.admitted(Visitor("e" * 32, "token:3")).__enter__()
            assert full.value.retry_after_seconds
    assert limits.under_way == 0
