"""The accepted forms of a server's address."""

from __future__ import annotations

import re
from typing import Final

EXPECTED: Final = "expected HOST:PORT, for example 127.0.0.1:50050"

_SOCKETS: Final = ("unix:", "unix-abstract:")
_LISTED: Final = ("dns:///", "dns:", "ipv4:", "ipv6:")
_OTHER_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_PORT: Final = re.compile(r":[0-9]+\Z")
_LARGEST_PORT: Final = 65535


def checked_address(address: str, *, one_server: bool = False) -> str:
    """Return `address` if it is HOST:PORT, with an IPv6 address in brackets, or one of gRPC's forms for replicas.

    These are `dns:///name:port`, the lists `ipv4:a:port,b:port` and `ipv6:[a]:port,[b]:port`, and `unix:path`; with
    `one_server` none of them is accepted. Raises ValueError with the actual and the expected form.
    """
    if not one_server and address.startswith(_SOCKETS):
        if not address.partition(":")[2]:
            raise ValueError(f"{address!r} names no socket; {EXPECTED}")
        return address
    listed = address if one_server else _listed(address)
    if other := _OTHER_SCHEME.match(listed):
        raise ValueError(f"{address} begins with {other[0]}; {EXPECTED}")
    for one in listed.split(",") if listed != address else [listed]:
        _check_one(one, address)
    return address


def hosts_of(address: str) -> tuple[str, ...]:
    """Return the hosts of an address that `checked_address` accepts, in order and without brackets; none for a socket.

    A port may be missing.
    """
    if address.startswith(_SOCKETS):
        return ()
    return tuple(_PORT.sub("", one).strip("[]") for one in _listed(address).split(","))


def _listed(address: str) -> str:
    scheme = next((scheme for scheme in _LISTED if address.startswith(scheme)), "")
    return address.removeprefix(scheme)


def _check_one(one: str, address: str) -> None:
    host, colon, port = one.rpartition(":")
    if one.startswith("[") and one.endswith("]"):
        host, colon, port = one, "", ""
    elif ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(
            f"{address} has several colons: put an IPv6 address in brackets, such as [::1]:50050; {EXPECTED}"
        )
    if not colon:
        raise ValueError(f"{address or 'an empty string'} has no port; {EXPECTED}")
    if not host.strip("[]") or re.search(r"[\s/@?#,]", host):
        raise ValueError(f"{address!r} has no host before its port; {EXPECTED}")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= _LARGEST_PORT):
        raise ValueError(
            f"{address!r} has {port!r} as its port, expected a number from 1 to {_LARGEST_PORT}; {EXPECTED}"
        )
