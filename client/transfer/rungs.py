"""The rungs of a live session: which size to ask for, and what to tell the user when the server changes the rung."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from client.connection.types import Rung
from client.errors import CommandError
from motion.crop import resized
from motion.frame import FrameSize, Picture, RgbaPicture
from motion.pose_choice import PoseDetail
from serving.pictures.compositing import premultiplied, with_straight_alpha

_DETAILS: Final = {
    PoseDetail.HOLISTIC: "face and hands in every frame",
    PoseDetail.LIVE: "face and hands in some of the frames",
    PoseDetail.BODY: "no face and hands",
}


def chosen_size(actor: str, sizes: Sequence[FrameSize], height_px: int | None) -> FrameSize | None:
    """Return the one of an actor's sizes with that height; None for None. Raises CommandError if there is none."""
    if height_px is None:
        return None
    for size in sizes:
        if size.height_px == height_px:
            return size
    known = ", ".join(str(size.height_px) for size in sizes) or "its own size"
    raise CommandError(f"actor {actor!r} cannot be drawn at --size {height_px}; it can at {known}")


def rung_name(rung: Rung) -> str:
    """Describe a rung in a few words."""
    detail = _DETAILS[rung.detail]
    if rung.detail is PoseDetail.LIVE and rung.face_and_hands_every_n:
        detail = f"face and hands in one of {rung.face_and_hands_every_n} frames"
    return f"{rung.picture_size.height_px} px, {detail}"


def rung_note(rungs: Sequence[Rung], before: int | None, now: int, sequence: int) -> str:
    """Say that the server draws at another rung from frame `sequence` on, and why.

    before: None if the connection was lost in between; the new session begins with its first rung.
    """
    names = rung_name(rungs[now])
    if before is None:
        return f"frame {sequence}: drawn at {names}: the session after the lost connection chooses anew"
    if now < before:
        return f"frame {sequence}: drawn at {names}: there is time for it again"
    return f"frame {sequence}: drawn at {names}: the camera's rate cannot be held at {rung_name(rungs[before])}"


def enlarged(picture: Picture | RgbaPicture, size: FrameSize) -> Picture | RgbaPicture:
    """Return a picture at `size`, so that what is shown and recorded keeps one size. With straight alpha, if any."""
    if picture.shape[:2] == (size.height_px, size.width_px):
        return picture
    if picture.shape[2] == 3:
        return resized(picture, size.width_px, size.height_px)
    return with_straight_alpha(resized(premultiplied(picture), size.width_px, size.height_px))
