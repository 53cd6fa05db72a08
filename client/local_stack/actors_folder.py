"""The folder of actors on this machine, for commands that work without a server."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from client.connection.types import ActorListing, ListedWardrobe
from client.errors import CommandError
from motion.frame import FrameSize, Picture
from serving.actors.actor_id import is_actor_id, is_version
from serving.actors.preview import has_preview
from serving.actors.shown_records import ListedConsent, shown_scores, trained_at_s
from serving.actors.sizes import picture_sizes
from serving.actors.store import ActorStore, ListedVersion
from serving.errors import ActorUnusable

_SAMPLE_ACTORS: Final = Path("samples/actors")


def actors_here(folder: Path) -> list[ActorListing]:
    """All versions of all actors, newest first. Raises CommandError without a folder, and ActorUnusable."""
    check_folder(folder)
    return [_listing(listed) for listed in ActorStore(folder).listed()]


def past_actors(folder: Path, actor_id: str, version: int) -> list[ActorListing]:
    """A version that is not here any more, if its history says what ended it; empty if not, or if it cannot be read."""
    if not (is_actor_id(actor_id) and is_version(str(version))):
        return []
    with suppress(ActorUnusable):
        if because := ActorStore(folder).consents.past(actor_id, version):
            gone = ActorListing(actor_id, version, None, None, "", 0, because)
            return [replace(gone, consent_record=ListedConsent(ended_because=because))]
    return []


def _listing(listed: ListedVersion) -> ActorListing:
    actor, number, percent = listed.actor, listed.version, listed.served_percent
    if actor is None:
        text = "" if listed.consent is None else listed.consent.text
        because = listed.unavailable if listed.without_consent else ""
        record = ListedConsent.of(listed.consent, because)
        unavailable = ActorListing(listed.actor_id, number, None, None, "", 0, listed.unavailable, percent)
        return replace(unavailable, consent=text, consent_record=record)
    return ActorListing(
        actor.id,
        number,
        FrameSize(actor.crop.out_width_px, actor.crop.out_height_px),
        actor.frame_size,
        actor.preset,
        actor.label_map_version,
        "",
        percent,
        actor.size_bytes,
        None if actor.wardrobe is None else ListedWardrobe(actor.wardrobe.key_frames, actor.wardrobe.facings),
        actor.is_bare_warp,
        picture_sizes(actor)[1:],
        actor.consent.text,
        trained_at_s(actor),
        shown_scores(actor),
        has_preview(actor.folder),
        None,
        ListedConsent.of(actor.consent),
    )


def plate_of(folder: Path, actor: str, actor_version: int, *, full_frame: bool) -> Picture:
    """The actor's empty background, in the size of the answers. Raises ActorNotFound and ActorUnusable."""
    check_folder(folder)
    loaded = ActorStore(folder).load(actor, actor_version)
    return loaded.read_plate() if full_frame else loaded.read_crop_plate()


def sizes_of(folder: Path, actor: str, actor_version: int) -> tuple[FrameSize, ...]:
    """The sizes at which the actor can be drawn, its own first. Raises ActorNotFound and ActorUnusable."""
    return picture_sizes(ActorStore(folder).load(actor, actor_version))


def has_wardrobe(folder: Path, actor: str, actor_version: int) -> bool:
    """Whether the actor has a wardrobe. Raises ActorNotFound and ActorUnusable."""
    return ActorStore(folder).load(actor, actor_version).wardrobe is not None


def check_folder(folder: Path) -> None:
    """Raises CommandError if the folder does not exist; the message says what to do."""
    if folder.is_dir():
        return
    ways = "`dance train` creates one, --actors chooses another"
    if _SAMPLE_ACTORS.is_dir():  # the command runs in a checkout
        ways += f": try --actors {_SAMPLE_ACTORS}"
    raise CommandError(f"there is no folder {str(folder)!r} with actors; {ways}")
