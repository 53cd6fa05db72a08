"""Whether the consents to the actors of a folder allow them to be served now, and what happens to these consents."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path

from serving.actors.actor import METADATA_FILE, Actor, unusable
from serving.actors.consent import ConsentRecord
from serving.actors.consent_history import (
    HISTORY_FILE,
    ConsentEvent,
    ConsentEventKind,
    ConsentHistory,
    agreement,
    append_event,
    read_history,
)
from serving.errors import ActorUnusable, NoConsent


def utc_now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)


class Consents:
    """The consents to the actors in the folder `root`.

    stated_except: whose consents must be stated: all actors' except these. None if no consent has to be, because only
    this machine can dance them. now: the time, with a time zone.
    """

    def __init__(
        self, root: Path, *, stated_except: Collection[str] | None = None, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._root = root
        self._stated_except = stated_except
        self.now = now
        self._histories: dict[str, tuple[tuple[int, int, int], ConsentHistory]] = {}

    def history(self, actor_id: str) -> ConsentHistory:
        """Return what happened to the actor's consents. Raises ActorUnusable for a damaged file.

        The file is only read again when it has changed.
        """
        path = self._root / actor_id / HISTORY_FILE
        with unusable(f"actor {actor_id!r}: {HISTORY_FILE}"):
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return ConsentHistory()
            stamp = found.st_mtime_ns, found.st_size, found.st_ino
            known = self._histories.get(actor_id)
            if known is not None and known[0] == stamp:
                return known[1]
            history = read_history(path.parent)
        self._histories[actor_id] = stamp, history
        return history

    def check(self, actor: Actor) -> None:
        """Raise NoConsent unless the consent to a version allows it to be served now, and the version still exists.

        It reads no file that has not changed since the last call, so a session can call it for every frame. Raises
        ActorUnusable for a damaged history.
        """
        where = f"actor {actor.id!r} version {actor.version}"
        self.check_events(actor.id, actor.version, actor.consent)
        if not is_there(actor.folder / METADATA_FILE):
            raise NoConsent("deleted", f"{where} was deleted")
        consent = actor.consent
        if consent.has_ended(self.now()):
            raise NoConsent(
                "expired", f"the consent to {where} ended on {consent.until}; a new version needs a new consent"
            )
        if not consent.is_stated and self._stated_except is not None and actor.id not in self._stated_except:
            raise NoConsent(
                "not_stated",
                f"the consent to {where} is not stated, and other machines can reach this server: train the actor with "
                "--consent, or name it in ORCHESTRATOR_ALLOWED_WITHOUT_CONSENT",
            )

    def check_events(self, actor_id: str, version: int, consent: ConsentRecord | None = None) -> None:
        """Raise NoConsent for a version that was revoked or deleted. consent: as in `ConsentHistory.revocation`."""
        history, where = self.history(actor_id), f"actor {actor_id!r} version {version}"
        deletion = history.deletion(version)
        if deletion is not None:  # its files are still there, or were copied back
            raise NoConsent("deleted", f"{where} was {deletion.text}")
        revocation = history.revocation(version, consent)
        if revocation is None:
            return
        later = ""
        if version not in revocation.versions:
            on = revocation.at.astimezone(UTC).date()
            later = f", and this version's consent is not one that was given on {on} or later"
        raise NoConsent("revoked", f"the consent to {where} was {revocation.text}{later}")

    def check_new(self, actor_id: str, consent: ConsentRecord) -> None:
        """Raise NoConsent if a new version with this consent would not be served. Raises ActorUnusable."""
        revocation = self.history(actor_id).refusal(consent)
        if revocation is not None:
            on = revocation.at.astimezone(UTC).date()
            raise NoConsent(
                "revoked",
                f"the consent to actor {actor_id!r} was {revocation.text}; a new version needs a new consent, given on "
                f"{on} or later: --consent-on DATE, or given_on in a file for --consent",
            )
        if consent.has_ended(self.now()):
            raise NoConsent(
                "expired", f"the consent to actor {actor_id!r} ended on {consent.until}: it needs a new one"
            )

    def past(self, actor_id: str, version: int) -> str:
        """Return what ended a version, which need not be here any more; "" if the history says nothing of it.

        Raises ActorUnusable.
        """
        history, where = self.history(actor_id), f"actor {actor_id!r} version {version}"
        if revocation := history.revocation(version):
            return f"the consent to {where} was {revocation.text}"
        deletion = history.deletion(version)
        return "" if deletion is None else f"{where} was {deletion.text}"

    def record(self, published: Actor) -> None:
        """Note the consent of a version, if it is stated, before the version is published.

        If another publisher takes its number first, the history has the consents of both. This and the next two raise
        OSError, and ActorUnusable for a history that takes no more events.
        """
        consent = published.consent
        if not consent.is_stated:
            return
        event = ConsentEvent(
            kind=ConsentEventKind.RECORDED,
            at=self.now(),
            versions=(published.version,),
            consents=(agreement(consent),),
            by=consent.recorded_by,
        )
        self._append(published.id, event)

    def revoke(
        self,
        actor_id: str,
        versions: Iterable[int],
        consents: Iterable[ConsentRecord],
        *,
        whole_actor: bool,
        reason: str,
        by: str,
    ) -> ConsentEvent:
        """Note that versions, which had these consents, were revoked. Returns the event."""
        event = ConsentEvent(
            kind=ConsentEventKind.REVOKED,
            at=self.now(),
            versions=tuple(versions),
            consents=tuple(sorted({agreement(consent) for consent in consents})),
            whole_actor=whole_actor,
            by=by,
            reason=reason,
        )
        self._append(actor_id, event)
        return event

    def delete(self, actor_id: str, versions: Iterable[int], *, by: str, footage: bool) -> None:
        """Note that versions are deleted, before they are."""
        kind = ConsentEventKind.DELETED
        self._append(actor_id, ConsentEvent(kind=kind, at=self.now(), versions=tuple(versions), by=by, footage=footage))

    def _append(self, actor_id: str, event: ConsentEvent) -> None:
        try:
            append_event(self._root / actor_id, event)
        except ValueError as error:
            raise ActorUnusable(f"actor {actor_id!r}: {HISTORY_FILE}: {error}") from error


def is_there(path: Path) -> bool:
    """Return whether `path` exists, or cannot be checked because of an error."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
