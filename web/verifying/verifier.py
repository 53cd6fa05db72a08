"""Checks the files of visitors as `dance verify` does, and keeps none of them."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from threading import Event
from typing import Any, Final

from cryptography import x509
from grpc import StatusCode
from starlette.requests import Request

from client.connection.types import ServerListing
from client.errors import ServerError
from client.verification.consent import CheckedConsent, checked_consent
from provenance.credentials.media_types import sidecar_of
from provenance.verification import Verification, verify
from provenance.watermark.finding import FoundWatermark
from serving.errors import BadSettings, UnreadableVideo
from serving.observability import logs
from serving.process.background import in_stoppable_thread
from web.access.gateway_folder import gateway_folder
from web.access.limits import Limits
from web.access.orchestrator import Orchestrator
from web.access.refusals import Refused
from web.access.visitors import Visitor
from web.dances.finishing import Stopped
from web.settings import WebSettings
from web.verifying.content import check_bounds, suffix_of
from web.verifying.metrics import VERIFIED
from web.verifying.uploads import check_announced, while_there, write_body

MOST_SIDECAR_BYTES: Final = 16 * 2**20
_NAME: Final = "file"
_PEOPLE_CALL_IT: Final = "this file"
_log: Final = logging.getLogger(__name__)


class Verifier:
    """Checks a few files at a time. `running()` owns the folder that they are in meanwhile.

    Raises BadSettings for certificates that cannot be read.
    """

    def __init__(self, settings: WebSettings, orchestrator: Orchestrator) -> None:
        self.folder = settings.data_folder.expanduser() / "verifying"
        self._settings = settings
        self._orchestrator = orchestrator
        most = settings.max_verifications
        self._limits = Limits("files to check", most=most, most_per_user=max(1, most // 2))
        self._trust_anchors_pem = "" if settings.verify_trust is None else _certificates(settings.verify_trust)

    @contextmanager
    def running(self) -> Iterator[Verifier]:
        """Delete what a killed process left, and hold the folder. Raises BadSettings if it cannot be used."""
        with gateway_folder(self.folder, "WEB_DATA_FOLDER"):
            for left in self.folder.glob(f"{_NAME}-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield self

    async def verify(self, visitor: Visitor, request: Request, sidecar_bytes: int) -> dict[str, Any]:
        """Receive a file, check it, and return the answer's JSON. The file is deleted, however this ends.

        sidecar_bytes: how many of the first bytes are the file's sidecar. Raises Refused, and ServerError for a token
        that the orchestrator no longer accepts.
        """
        with self._limits.admitted(visitor):
            announced = check_announced(request, self._settings.max_verify_bytes + sidecar_bytes)
            if shutil.disk_usage(self.folder).free - announced < self._settings.disk_kept_bytes:
                raise _no_room()
            folder = Path(mkdtemp(prefix=f"{_NAME}-", dir=self.folder))
            try:
                found = await self._checked(folder, request, sidecar_bytes)
            finally:
                await asyncio.to_thread(_delete, folder)
        asks = bool(found.stated) or found.watermark is not None
        listing = await self._listing(visitor) if asks else None
        VERIFIED.labels(found.mark.name.lower()).inc()
        return {
            **found.to_json(),
            "consent": _consent(found, listing).to_json(),
            "server": _server(found.watermark, listing),
            "server_asked": listing is not None if asks else None,
        }

    async def _checked(self, folder: Path, request: Request, sidecar_bytes: int) -> Verification:
        file, settings = folder / _NAME, self._settings
        try:
            most_bytes = settings.max_verify_bytes + sidecar_bytes
            await write_body(request, file, sidecar_of(file), sidecar_bytes, most_bytes)
        except OSError as error:
            raise _no_room() from error
        try:
            async with asyncio.timeout(settings.max_verify_seconds):
                checking = in_stoppable_thread(lambda stopped: self._verified(file, stopped))
                return await while_there(request, checking)
        except TimeoutError as error:
            text = f"Checking this file took longer than {settings.max_verify_seconds:g} seconds: cut it shorter."
            raise Refused(422, "check_too_long", text) from error

    def _verified(self, file: Path, stopped: Event) -> Verification:
        sidecar, file = sidecar_of(file), file.rename(file.with_suffix(suffix_of(file)))
        if sidecar.exists():
            sidecar.rename(sidecar_of(file))
        check_bounds(file, self._settings.max_clip_side_px)
        try:
            found = verify(file, trust_anchors_pem=self._trust_anchors_pem, should_stop=stopped.is_set)
        except UnreadableVideo as error:
            raise Refused(415, "unreadable_file", _for_people(str(error), file)) from error
        except KeyboardInterrupt:
            raise Stopped("the visitor left, or the time was over") from None
        if found.credentials is None:
            return found
        faults = tuple(_for_people(fault, file) for fault in found.credentials.faults)
        return replace(found, credentials=replace(found.credentials, faults=faults))

    async def _listing(self, visitor: Visitor) -> ServerListing | None:
        """What the orchestrator lists; None if it cannot say now, which is no reason to keep the rest back."""
        try:
            async with self._orchestrator.client(visitor) as client:
                return await client.listing()
        except ServerError as error:
            if error.status is StatusCode.UNAUTHENTICATED:
                raise
            _log.warning("a file was checked without the orchestrator", extra=logs.facts(because=error))
            return None


def _consent(found: Verification, listing: ServerListing | None) -> CheckedConsent:
    consent = checked_consent(found.stated, None if listing is None else listing.actors, use=None)
    if found.stated and listing is None:
        return replace(consent, words="not checked: the server could not be asked")
    return consent


def _server(watermark: FoundWatermark | None, listing: ServerListing | None) -> str | None:
    """Which server a watermark names; None without a watermark."""
    if watermark is None:
        return None
    known = () if listing is None else listing.watermark_key_ids
    if not watermark.is_legible or not watermark.payload.key_id or not known:
        return "unknown"
    return "this" if watermark.payload.key_id in known else "another"


def _for_people(text: str, file: Path) -> str:
    return text.replace(str(file), _PEOPLE_CALL_IT)


def _no_room() -> Refused:
    text = "The server has no room for this file now: try again later."
    return Refused(507, "no_room", text, retry_after_seconds=60.0)


def _delete(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError:
        _log.exception("a checked file was not deleted; the next start deletes it")


def _certificates(path: Path) -> str:
    try:
        text = path.read_text()
        x509.load_pem_x509_certificates(text.encode())
    except OSError as error:
        raise BadSettings("WEB_VERIFY_TRUST", f"{path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise BadSettings("WEB_VERIFY_TRUST", f"{path}: expected PEM certificates") from None
    return text
