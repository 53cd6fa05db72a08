"""What a verification found, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from client.verification.consent import CheckedConsent
from provenance.credentials.reading import Credentials, State
from provenance.verification import Verification
from provenance.watermark.finding import FoundWatermark

_MOST_CHARACTERS: Final = 300
_STATES: Final = {
    State.TRUSTED: "valid; an authority that you trust names the signer",
    State.VALID: "valid; not changed since it was signed",
    State.CHANGED: "CHANGED since it was signed",
    State.INVALID: "INVALID",
}


def described(path: Path, found: Verification, consent: CheckedConsent, own_keys: Sequence[int]) -> Iterator[str]:
    """Yield lines for people. own_keys: ids of the keys of this machine's servers."""
    yield f"{path}: {found.mark.value}"
    yield from map(_harmless, _of_credentials(found.credentials))
    yield f"watermark: {_of_watermark(found.watermark, found.searched_pictures, own_keys)}"
    yield f"consent: {_harmless(consent.words)}"


def _harmless(line: str) -> str:
    """A line with words of a file, without what would control a terminal, and not without end."""
    shown = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in line)
    return shown if len(shown) <= _MOST_CHARACTERS else f"{shown[: _MOST_CHARACTERS - 1]}…"


def _of_credentials(credentials: Credentials | None) -> Iterator[str]:
    if credentials is None:
        yield "credentials: none"
        return
    beside = ", in a file beside it" if credentials.in_sidecar else ""
    faults = f" ({', '.join(credentials.faults)})" if credentials.faults else ""
    yield f"credentials: {_STATES[credentials.state]}{beside}{faults}"
    if credentials.state not in (State.VALID, State.TRUSTED):
        yield "  what they state cannot be relied on"
        return
    if credentials.signer or credentials.organisation:
        vouched = "" if credentials.state is State.TRUSTED else "; nothing vouches for this name"
        yield f"  signed by {credentials.signer}, {credentials.organisation}, with {credentials.software}{vouched}"
    for source_type in credentials.source_types:
        yield f"  digital source: {source_type.rpartition('/')[2]}"
    stated = credentials.stated
    if stated:
        yield f"  actor {stated.get('actor')}, version {stated.get('actor_version')}"
    for title, has_own in credentials.ingredients:
        yield f"  made from {title}{', which has credentials of its own' if has_own else ''}"


def _of_watermark(watermark: FoundWatermark | None, pictures: int, own_keys: Sequence[int]) -> str:
    if watermark is None:
        return f"none found in {pictures} pictures"
    sure = f"a false alarm is less likely than {max(watermark.false_alarm, 1e-99):.0e}"
    if not watermark.is_legible:
        return f"found, too weak to read ({sure})"
    payload = watermark.payload
    if payload.key_id == 0:
        which = "a server without a key"
    elif payload.key_id in own_keys:
        which = f"a server of this machine (key {payload.key_name})"
    else:
        which = f"the server with the key {payload.key_name}"
    return f"found: {which}, session {payload.session_name} ({sure})"
