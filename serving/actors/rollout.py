"""Which versions of an actor new sessions get: `<actors>/<id>/serving.json`, replaced atomically.

    {"version": 3, "canary": {"version": 4, "percent": 10}, "previous": 2}

Without this file, the newest version is served. With it, only the versions it names are: a version that is published
later waits until it is promoted. The quality gate writes the file with "by_gate": true if a version is not good enough;
the next version that passes is then served at once. Version 0 means that none is served.
A session that requests a version gets that version; a running session keeps its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from motion.documents import Fields, read_document
from serving.actors.actor import unusable
from serving.actors.actor_id import LAST_VERSION
from serving.errors import ActorNotFound, ActorUnusable, BadInput
from serving.process.atomic_files import written_whole

SERVING_FILE: Final = "serving.json"


@dataclass(frozen=True, slots=True)
class Canary:
    """A version on trial, which a part of the new sessions gets. percent: above 0, below 100."""

    version: int
    percent: float

    def __post_init__(self) -> None:
        if not 0 < self.percent < 100:
            raise ValueError(f"percent must lie between 0 and 100, got {self.percent:g}")


@dataclass(frozen=True, slots=True)
class Served:
    """What new sessions of one actor get.

    version: served to all sessions outside the canary's share; 0 for none. previous: served before `version`; 0 for
    none. by_gate: the quality gate chose it, not a person, so the next version that passes is served at once.
    """

    version: int
    canary: Canary | None = None
    previous: int = 0
    by_gate: bool = False

    def __post_init__(self) -> None:
        if self.version < 0 or self.previous < 0:
            raise ValueError(f"versions count from 1, got {min(self.version, self.previous)}")
        if self.canary is not None and self.version == 0:
            raise ValueError("a canary needs another version that is served")
        if self.canary is not None and self.canary.version in (self.version, 0):
            raise ValueError(f"version {self.canary.version} cannot be the canary of version {self.version}")

    @property
    def versions(self) -> tuple[int, ...]:
        """The served version, then the canary; empty if none is served."""
        if self.version == 0:
            return ()
        return (self.version,) if self.canary is None else (self.version, self.canary.version)

    def without(self, versions: Collection[int]) -> Served:
        """Return what is left when these versions may not be served: the canary is dropped, or nothing is served.

        Then the next version that passes the quality gate is served.
        """
        if self.version in versions:
            return Served(0, by_gate=True)
        canary = None if self.canary is None or self.canary.version in versions else self.canary
        return replace(self, canary=canary, previous=0 if self.previous in versions else self.previous)

    def percent(self, version: int) -> float:
        """Return the percentage of new sessions that get this version."""
        canary_percent = 0.0 if self.canary is None else self.canary.percent
        if version == self.version and version:
            return 100.0 - canary_percent
        return canary_percent if version in self.versions else 0.0

    def version_for(self, actor_id: str, who: str) -> int:
        """Return the version of one session, 0 if none is served.

        The same `who` always gets the same version, as long as the canary's share only grows.
        """
        if self.canary is None:
            return self.version
        # The hash includes the canary's version, so that each canary gets different clients.
        digest = hashlib.sha256(f"{actor_id}\0{self.canary.version}\0{who}".encode()).digest()
        drawn_percent = int.from_bytes(digest[:8], "big") / 2**64 * 100
        return self.canary.version if drawn_percent < self.canary.percent else self.version


def read_served(home: Path, versions: list[int]) -> Served:
    """Return what the actor's folder `home` serves of its `versions` (oldest first, at least one).

    Raises ActorUnusable, naming the file, when it cannot be read or names a missing version.
    """
    what = f"actor {home.name!r}: {SERVING_FILE}"
    with unusable(what):
        try:
            served = _from_json(Fields.of(read_document(home / SERVING_FILE)))
        except FileNotFoundError as error:
            if (home / SERVING_FILE).is_symlink():
                raise ActorUnusable(f"{what} is a broken link") from error
            return Served(versions[-1], previous=versions[-2] if len(versions) > 1 else 0)
    missing = [version for version in served.versions if version not in versions]
    if missing:
        raise ActorUnusable(f"{what} names version {missing[0]}, which does not exist")
    return served


def write_served(home: Path, served: Served | None) -> None:
    """Set what new sessions get from now on; None for the newest version, including later ones."""
    path = home / SERVING_FILE
    if served is None:
        path.unlink(missing_ok=True)
        return
    with written_whole(path) as partial:
        partial.write_text(json.dumps(_to_json(served), indent=2) + "\n")


def with_canary(now: Served, version: int, percent: float) -> Served:
    """Serve `version` to `percent` of the new sessions, and what is served now to the rest.

    If all sessions get `version` already, as they do for the newest version without a file, the version before it gets
    the rest. Raises ActorNotFound if there is none, BadInput for the percentage.
    """
    stable = now.previous if version == now.version else now.version
    if stable == 0:
        raise ActorNotFound(f"version {version} is the only one that is or was served: a canary needs a second one")
    try:
        return Served(stable, Canary(version, percent), previous=0 if version == now.version else now.previous)
    except ValueError as error:
        raise BadInput("percent", str(error)) from error


def promoted(now: Served, version: int) -> Served:
    """Serve `version` to all new sessions, until this is changed."""
    return Served(version, previous=now.previous if version == now.version else now.version)


def gated(now: Served, version: int) -> Served:
    """Serve `version` to all new sessions; `by_gate` stays as it is."""
    return replace(promoted(now, version), by_gate=now.by_gate)


def rolled_back(now: Served) -> Served:
    """Remove the canary; without one, serve the previous version. Raises ActorNotFound if there is none."""
    if now.canary is not None:
        return Served(now.version, previous=now.previous)
    if now.previous == 0:
        raise ActorNotFound(f"nothing was served before version {now.version}")
    return Served(now.previous)


def why_none_served(actor_id: str, versions: list[int], *, deleted: bool) -> str:
    """Return why new sessions get none of these versions. deleted: whether the actor had others."""
    known, several = ", ".join(map(str, versions)), len(versions) > 1
    return (
        f"actor {actor_id!r} has version{'s' * several} {known}, but no version is served: "
        f"{'none passed' if several else 'it did not pass'} the quality gate"
        f"{', or the version that was served is deleted' * deleted}. `dance actors promote {actor_id}` "
        f"serves {'the newest' if several else 'it'}; --actor-version {versions[-1]} dances it once"
    )


def _from_json(stored: Fields) -> Served:
    stored.only("version", "canary", "previous", "by_gate")
    canary = None
    if stored.has("canary"):
        part = stored.part("canary")
        part.only("version", "percent")
        canary = Canary(part.whole("version", 1, LAST_VERSION), part.number("percent", 0, 100))
    return Served(
        stored.whole("version", 0, LAST_VERSION),
        canary,
        stored.whole("previous", 0, LAST_VERSION, default=0),
        stored.flag("by_gate", default=False),
    )


def _to_json(served: Served) -> dict[str, Any]:
    canary = served.canary
    return {
        "version": served.version,
        "canary": None if canary is None else {"version": canary.version, "percent": canary.percent},
        "previous": served.previous,
        **({"by_gate": True} if served.by_gate else {}),
    }
