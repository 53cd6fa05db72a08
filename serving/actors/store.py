"""Actors on disk: `<root>/<id>/<version>/` with actor.json, generator.onnx, face.onnx, plate.png and wardrobe.npz.

Actors may lack face.onnx and wardrobe.npz; crop_plate.png exists only where the crop reaches beyond the footage.
preview.webp, a moving picture for lists, is optional and may be added later: `serving.actors.preview`. An actor is
data; nothing in it is executed. Versions count from 1, and Triton uses the same numbers. Publishing writes
a temporary folder and renames it, so readers never see a partial actor. The optional `<root>/<id>/serving.json` defines
which versions are served: `serving.actors.rollout`. `<root>/<id>/consent_history.jsonl` says what happened to the
consents: `serving.actors.consent_history`.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from motion.labelmap import LABEL_MAP_VERSION
from motion.wardrobe.pieces import WARDROBE_VERSION
from motion.wardrobe.storage import WARDROBE_FILE
from serving.actors.actor import (
    CROP_PLATE_FILE,
    FACE_FILE,
    GENERATOR_FILE,
    METADATA_FILE,
    PLATE_FILE,
    Actor,
    NetworkShape,
    Padding,
    actor_text,
    check_files,
    read_actor,
    unusable,
)
from serving.actors.actor_id import LAST_VERSION, checked_actor_id, is_actor_id, is_number, is_version
from serving.actors.consent import ConsentRecord
from serving.actors.consent_history import HISTORY_FILE, ConsentEvent
from serving.actors.consents import Consents, is_there, utc_now
from serving.actors.preview import MOST_PREVIEW_BYTES, PREVIEW_FILE, read_preview
from serving.actors.removals import Removals
from serving.actors.rollout import SERVING_FILE, Served, gated, read_served, why_none_served, write_served
from serving.actors.wardrobe_facts import WardrobeFacts
from serving.errors import ActorNotFound, ActorUnusable, NoConsent

__all__ = [
    "CROP_PLATE_FILE",
    "FACE_FILE",
    "GENERATOR_FILE",
    "METADATA_FILE",
    "PLATE_FILE",
    "PREVIEW_FILE",
    "WARDROBE_FILE",
    "Actor",
    "ActorStore",
    "ListedVersion",
    "NetworkShape",
    "Padding",
    "WardrobeFacts",
]

_PUBLISHING: Final = ".publishing-"
_LONGEST_PUBLISHING_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One version of an actor in a list. actor: None if it cannot be served, for the reason in `unavailable`.

    version: 0 if unknown, because the folder cannot be read or its number is not a version. consent: None if unknown.
    without_consent: whether `unavailable` is about the consent.
    """

    actor_id: str
    version: int
    served_percent: float = 0.0
    actor: Actor | None = None
    unavailable: str = ""
    consent: ConsentRecord | None = None
    without_consent: bool = False


class ActorStore:
    """A folder of actors. Reading never writes; publishing is atomic.

    stated_except, now: see `Consents`.
    """

    def __init__(
        self, root: Path, *, stated_except: Collection[str] | None = None, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.root = root
        self.consents = Consents(root, stated_except=stated_except, now=now)
        self._removals = Removals(root)

    def ids(self) -> list[str]:
        """Return the sorted ids of all actors that have a version, or whose folder cannot be read.

        Folders whose names are not actor ids are ignored. Raises ActorUnusable if the store itself cannot be read.
        """
        names = _names_in(self.root, "the actors' folder")
        return sorted(name for name in names if is_actor_id(name) and self._is_actor(self.root / name))

    def versions(self, actor_id: str) -> list[int]:
        """Return the versions of one actor, oldest first; empty if the actor does not exist.

        Raises BadInput for an invalid actor id, and ActorUnusable if its folder cannot be read.
        """
        return self._versions_in(self.root / checked_actor_id(actor_id))

    def listed(self, actor_id: str = "", version: int = 0) -> Iterator[ListedVersion]:
        """Yield all versions of all actors, by id, newest first. Each damaged one is listed with its reason.

        actor_id, version: yield only the versions of this actor, or with this number; "" and 0 for all.
        Raises ActorUnusable if the store itself cannot be read.
        """
        for found in self.ids():
            if actor_id in ("", found):
                yield from self._versions_listed(found, version)

    def _versions_listed(self, actor_id: str, wanted: int) -> Iterator[ListedVersion]:
        try:
            for name in self._numbers_in(self.root / actor_id):
                if not is_version(name) and not wanted:
                    yield ListedVersion(actor_id, 0, unavailable=_no_version(actor_id, name))
            versions = self.versions(actor_id)
        except ActorUnusable as error:
            if not wanted:
                yield ListedVersion(actor_id, 0, unavailable=str(error))
            return
        for version in reversed(versions):
            if wanted in (0, version):
                with suppress(ActorNotFound):  # it was removed since the folder was listed
                    yield self._listed(actor_id, version)

    def _listed(self, actor_id: str, version: int) -> ListedVersion:
        percent = 0.0
        try:
            percent = self.served(actor_id).percent(version)
            actor = self.load(actor_id, version)
            return ListedVersion(actor_id, version, percent, actor, consent=actor.consent)
        except NoConsent as error:
            consent = self.read(actor_id, version).consent
            return ListedVersion(actor_id, version, 0.0, None, str(error), consent, without_consent=True)
        except ActorUnusable as error:
            return ListedVersion(actor_id, version, percent, unavailable=str(error))

    def load(self, actor_id: str, version: int = 0) -> Actor:
        """Load one version of an actor; version 0 is the one that is served, see `served`.

        Raises BadInput for an invalid actor id, ActorNotFound, NoConsent, and ActorUnusable for damaged or missing
        files, for another version of the label map or of the wardrobe, and for version 0 if none is served.
        """
        versions = self._known_versions(actor_id)
        if version == 0:
            version = self._served(actor_id, versions).version
            if version == 0:
                raise self._none_served(actor_id, versions)
        self._check_known(actor_id, version, versions)
        actor = read_actor(actor_id, version, self.root / actor_id / str(version))
        self.consents.check(actor)
        if actor.label_map_version != LABEL_MAP_VERSION:
            raise ActorUnusable(
                f"actor {actor_id!r} version {version} was trained on label maps of version {actor.label_map_version}, "
                f"this server draws version {LABEL_MAP_VERSION}: train it again"
            )
        if actor.wardrobe is not None and actor.wardrobe.version != WARDROBE_VERSION:
            raise ActorUnusable(
                f"actor {actor_id!r} version {version} has a wardrobe of version {actor.wardrobe.version}, "
                f"this server draws version {WARDROBE_VERSION}: train it again"
            )
        check_files(actor)
        return actor

    def read(self, actor_id: str, version: int) -> Actor:
        """Read the document of a version, whether or not it can be served. Raises BadInput and ActorUnusable."""
        return read_actor(actor_id, version, self.root / checked_actor_id(actor_id) / str(version))

    def served(self, actor_id: str) -> Served:
        """Return which versions new sessions get: the newest, unless `serve` set others. Revoked ones are left out.

        Raises BadInput for an invalid actor id, ActorNotFound, and ActorUnusable for a damaged serving.json.
        """
        return self._served(actor_id, self._known_versions(actor_id))

    def _served(self, actor_id: str, versions: list[int]) -> Served:
        home, left = self.root / actor_id, self._left(actor_id, versions)
        gone = [version for version in versions if version not in left]
        if left and gone and not (home / SERVING_FILE).exists():
            return read_served(home, left)
        return read_served(home, versions).without(gone)

    def _left(self, actor_id: str, versions: list[int]) -> list[int]:
        """Return the versions that were neither revoked nor deleted."""
        history = self.consents.history(actor_id)
        return [version for version in versions if not history.revocation(version) and not history.deletion(version)]

    def _none_served(self, actor_id: str, versions: list[int]) -> ActorUnusable:
        """Return why new sessions get no version. Raises NoConsent if the version that was chosen has lost its own."""
        left = self._left(actor_id, versions)
        chosen = read_served(self.root / actor_id, versions).version
        self.consents.check_events(actor_id, chosen or (left or versions)[-1])
        return ActorUnusable(why_none_served(actor_id, left, deleted=self.consents.history(actor_id).has_deletions))

    def check_consent(self, actor: Actor) -> None:
        """Raise NoConsent unless the consent to a version allows it to be served now; see `Consents.check`."""
        self.consents.check(actor)

    def check_new_consent(self, actor_id: str, consent: ConsentRecord) -> None:
        """Raise NoConsent if a new version with this consent would not be served; see `Consents.check_new`."""
        self.consents.check_new(checked_actor_id(actor_id), consent)

    def revoke(self, actor_id: str, version: int = 0, *, reason: str, by: str = "") -> ConsentEvent:
        """Revoke the consent to one version, or with 0 to the actor: to all its versions, and to later ones with it.

        New sessions are refused from now on, and running ones end at their next frame. Returns the event. Raises
        BadInput for an invalid actor id, ActorNotFound, ActorUnusable for damaged files of the actor, and OSError.
        """
        versions = self._known_versions(actor_id)
        if version:
            self._check_known(actor_id, version, versions)
        consents = []
        for revoked in [version] if version else versions:
            with suppress(ActorUnusable):  # a damaged version is revoked as well
                consents.append(self.read(actor_id, revoked).consent)
        event = self.consents.revoke(
            actor_id, [version] if version else versions, consents, whole_actor=not version, reason=reason, by=by
        )
        if version == 0:
            write_served(self.root / actor_id, None)  # all that it names is revoked; a later version is served again
        return event

    def delete(self, actor_id: str, version: int = 0, *, by: str = "", footage: bool = False) -> tuple[int, ...]:
        """Delete the files of one version, or with 0 of all; the history stays. Returns the versions.

        Sessions end as when the consent is revoked. A deletion that was interrupted can be repeated. Deleted versions
        are not served when their files are copied back, and their numbers are not used again.

        footage: whether the prepared footage is deleted as well, for the history. Raises BadInput for an invalid actor
        id, ActorNotFound, ActorUnusable, and OSError.
        """
        self.finish_removals()
        versions = self._known_versions(actor_id)
        home = self.root / actor_id
        if version:
            self._check_known(actor_id, version, versions)
        deleted = [version] if version else versions
        self.consents.delete(actor_id, deleted, by=by, footage=footage)
        entries = [home / str(one) for one in deleted]
        if deleted == versions:  # what a killed publisher left goes first: without versions, no command finds the actor
            others = [entry for entry in home.iterdir() if entry.name != HISTORY_FILE and entry not in entries]
        else:
            others = list(_abandoned(home))
            if (home / SERVING_FILE).exists():
                write_served(home, self._served(actor_id, versions))  # it must not name what is gone
        self._removals.bury([*others, *entries])
        return tuple(deleted)

    def serve(self, actor_id: str, served: Served | None) -> None:
        """Set which versions new sessions get; None for the newest, including later ones.

        Raises BadInput for an invalid actor id, and ActorNotFound for missing versions.
        """
        versions = self._known_versions(actor_id)
        for version in () if served is None else served.versions:
            self._check_known(actor_id, version, versions)
        write_served(self.root / actor_id, served)

    def publish(self, actor: Actor, files: Mapping[str, Path], *, serve: bool = True) -> Actor:
        """Copy `files` (name in the actor's folder to source) and actor.json into the next version of `actor.id`.

        Returns the published actor; the arguments' `version` and `folder` are ignored. Two concurrent publishers get
        two versions. Raises BadInput for an invalid actor id, NoConsent as `check_new_consent` does, ActorUnusable for
        fields that `load` would refuse, or a preview that is none, and OSError. After an error there is no version.

        serve: whether it is good enough to be served. If so it is served, unless a person has chosen the versions; if
        not, the versions served before stay, until one is published that is good enough.
        """
        home = self.root / checked_actor_id(actor.id)
        self.consents.check_new(actor.id, actor.consent)
        home.mkdir(parents=True, exist_ok=True)
        if not serve:
            self._keep_served(home)  # before the new version exists, so that no session gets it
        partial = home / f"{_PUBLISHING}{uuid.uuid4().hex}"
        partial.mkdir()
        try:
            for name, source in files.items():
                shutil.copyfile(source, partial / name)
            if PREVIEW_FILE in files and read_preview(partial) is None:
                what = f"expected an animated WebP of at most {MOST_PREVIEW_BYTES} bytes"
                raise ActorUnusable(f"actor {actor.id!r} cannot be published: {PREVIEW_FILE}: {what}")
            while True:
                last_known = max(self._removals.last_version(actor.id), self.consents.history(actor.id).last_version)
                version = max([last_known, *self._versions_in(home)]) + 1
                published = replace(actor, version=version, folder=home / str(version))
                (partial / METADATA_FILE).write_text(actor_text(published), encoding="utf-8")
                self.consents.record(published)  # first, so that no version lacks its record
                try:
                    partial.rename(published.folder)
                except OSError:
                    if not published.folder.exists():
                        raise
                    continue  # another publisher took this number: try the next one
                if serve:
                    self._take_over(home, version)
                return published
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def remove(self, actor_id: str) -> None:
        """Delete an actor with all its versions, at once for new sessions. Does nothing if it does not exist.

        If it is published again, its versions count on: services and browsers keep what they know of a version, and
        must not show the removed person in place of the new one.

        Raises BadInput for an invalid actor id, and OSError if files stay; `finish_removals` deletes them later.
        """
        home = self.root / checked_actor_id(actor_id)
        if home.is_dir():
            with suppress(ActorUnusable):  # a damaged history does not keep an actor
                self._removals.remember(actor_id, self.consents.history(actor_id).last_version)
            self._removals.remember(actor_id, max(self._versions_in(home), default=0))
        self._removals.bury([home])

    def finish_removals(self) -> bool:
        """Delete what is left of removals, such as after a kill; return whether there was any. Raises OSError."""
        return self._removals.finish()

    def _keep_served(self, home: Path) -> None:
        if not (home / SERVING_FILE).exists():
            versions = self._versions_in(home)
            now = read_served(home, versions) if versions else Served(0)
            write_served(home, replace(now, by_gate=True))

    def _take_over(self, home: Path, version: int) -> None:
        # A damaged file fails every session anyway; the trained version is published all the same.
        with suppress(ActorUnusable):
            now = self._served(home.name, self._versions_in(home))
            if now.by_gate:
                write_served(home, gated(now, version))

    def _known_versions(self, actor_id: str) -> list[int]:
        versions = self.versions(actor_id)
        if not versions:
            for name in self._numbers_in(self.root / actor_id):
                raise ActorUnusable(_no_version(actor_id, name))
            known = ", ".join(self.ids()) or "none"
            raise ActorNotFound(f"there is no actor {actor_id!r}; there are: {known}")
        return versions

    @staticmethod
    def _check_known(actor_id: str, version: int, versions: list[int]) -> None:
        if version not in versions:
            known = ", ".join(map(str, versions))
            raise ActorNotFound(f"actor {actor_id!r} has no version {version}; it has: {known}")

    @staticmethod
    def _numbers_in(home: Path) -> list[str]:
        """Return the names of folders that may hold a version. Raises ActorUnusable if `home` cannot be read."""
        names = _names_in(home, f"actor {home.name!r}: its folder")
        return sorted(name for name in names if is_number(name) and is_there(home / name / METADATA_FILE))

    @classmethod
    def _versions_in(cls, home: Path) -> list[int]:
        return sorted(int(name) for name in cls._numbers_in(home) if is_version(name))

    @classmethod
    def _is_actor(cls, home: Path) -> bool:
        try:
            return bool(cls._numbers_in(home))
        except ActorUnusable:
            return True  # reading its versions reports the error


def _no_version(actor_id: str, name: str) -> str:
    return f"actor {actor_id!r}: folder {name[:20]}: versions are whole numbers from 1 to {LAST_VERSION}"


def _abandoned(home: Path) -> Iterator[Path]:
    """Yield what killed publishers left in an actor's folder."""
    for partial in home.glob(f"{_PUBLISHING}*"):
        with suppress(FileNotFoundError):
            if time.time() - partial.stat().st_mtime > _LONGEST_PUBLISHING_SECONDS:
                yield partial


def _names_in(folder: Path, what: str) -> list[str]:
    """Return the names in a folder; none if there is no folder. Raises ActorUnusable if `what` cannot be read."""
    with unusable(what), suppress(FileNotFoundError, NotADirectoryError):
        return [entry.name for entry in folder.iterdir()]
    return []
