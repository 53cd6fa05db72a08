"""The environment that `dance doctor` checks: proxies, the folder for temporary files, the user."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.transport.proxies import proxy_for
from serving.transport.tls import is_local


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. ok: there is nothing to do. advice: what to do otherwise."""

    check: str
    ok: bool
    text: str
    advice: str = ""


def surroundings(address: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what can be checked without a call; only the unusual is reported.

    address: of the server, host:port. For a server elsewhere, only the proxy matters.
    """
    yield from _proxy(address, environment)
    if is_local(address):
        yield from _folder(Path(tempfile.gettempdir()))
        yield from _user(environment, os.getuid())


def _proxy(address: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    choice = proxy_for(address, environment)
    if choice is None:
        return
    named = f"{choice.variable} names {choice.proxy}"
    if is_local(address):
        yield Finding("proxy", True, f"{named}; not used, since {address} is on this machine")
    elif choice.unused_because:
        yield Finding("proxy", True, f"{named}; not used for {address}: {choice.unused_because}")
    else:
        yield Finding("proxy", True, f"{named}, through which {address} is called; no_proxy exempts servers")


def _folder(temporary: Path) -> Iterator[Finding]:
    from services.generator.triton.plain_paths import check_place
    from serving.errors import BadSettings

    try:
        place = check_place()
    except BadSettings as error:
        yield Finding("folder for Triton", False, str(error), "set TMPDIR to such a folder, or free space there")
        return
    if place != temporary:
        yield Finding("folder for Triton", True, f"TMPDIR is {temporary}, which Triton cannot use; it uses {place}")


def _user(environment: Mapping[str, str], uid: int) -> Iterator[Finding]:
    home = Path(environment.get("HOME", ""))
    try:
        pwd.getpwuid(uid)
    except KeyError:
        yield Finding("user", True, f"uid {uid} has no entry on this machine; its home is {home}")
    if not os.access(home, os.W_OK | os.X_OK):
        advice = "set HOME to a writable folder; downloaded networks are kept there"
        yield Finding("user", False, f"HOME is {home}, which cannot be written", advice)
