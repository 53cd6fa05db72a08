"""The rungs of a session: pairs of pose detail and picture size."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from motion.frame import FrameSize
from motion.pose_choice import PoseBackend, PoseDetail
from orchestrator.rungs import relative_work, rungs_for
from orchestrator.session_config import PoseConfig, SessionConfig, TransferMode
from serving.actors.store import Actor, ActorStore
from serving.errors import BadInput

ADAPTIVE: dict[str, Any] = {"adaptive": True, "pose_detail_is_fixed": False}


@pytest.fixture(scope="module")
def actor(root: Path) -> Actor:
    """The sample actor, 512x512 with a wardrobe."""
    return ActorStore(root / "samples" / "actors").load("sample")


def pairs(actor: Actor, **config: Any) -> list[tuple[str, int]]:
    """Detail and height of each rung of a LIVE session."""
    asked = SessionConfig(actor="sample", mode=TransferMode.LIVE, **config)
    return [(rung.detail.value, rung.size.height_px) for rung in rungs_for(asked, actor)]


def test_a_session_that_is_not_adaptive_has_one_rung(actor: Actor) -> None:
    """It is what the config asks for: by default the actor's own size."""
    assert pairs(actor) == [("holistic", 512)]
    small = pairs(actor, picture_size=FrameSize(256, 256), pose=PoseConfig(detail=PoseDetail.BODY))
    assert small == [("body", 256)]


def test_an_adaptive_session_first_gives_up_detail_then_size(actor: Actor) -> None:
    """Each rung is less work than the one before."""
    assert pairs(actor, **ADAPTIVE) == [
        ("holistic", 512), ("live", 512), ("body", 512), ("live", 384), ("live", 256), ("body", 256)
    ]  # fmt: skip
    work = relative_work(rungs_for(SessionConfig(actor="sample", **ADAPTIVE), actor))
    assert all(later < earlier for earlier, later in pairwise(work))


def test_what_the_client_names_stays(actor: Actor) -> None:
    """With a size, only detail changes; with a detail, only the size."""
    sized = pairs(actor, **ADAPTIVE, picture_size=FrameSize(384, 384))
    assert sized == [("holistic", 384), ("live", 384), ("body", 384)]
    body = pairs(actor, adaptive=True, pose=PoseConfig(detail=PoseDetail.BODY))
    assert body == [("body", 512), ("body", 384), ("body", 256)]


def test_backends_without_details_change_only_the_size(actor: Actor) -> None:
    """RTMPose finds the same joints at every detail, so a rung with less would save nothing."""
    pose = PoseConfig(backend=PoseBackend.RTMPOSE)
    assert pairs(actor, **ADAPTIVE, pose=pose) == [("holistic", 512), ("holistic", 384), ("holistic", 256)]


def test_an_actor_with_one_size_changes_only_detail(actor: Actor) -> None:
    """Networks without a reference are drawn at their own size."""
    plain = replace(actor, generator=replace(actor.generator, reference=False))
    assert pairs(plain, **ADAPTIVE) == [("holistic", 512), ("live", 512), ("body", 512)]


def test_an_unknown_size_is_refused_with_the_known_ones(actor: Actor) -> None:
    """The message lists the sizes to choose from."""
    with pytest.raises(BadInput, match="can be drawn at 512x512, 384x384, 256x256, not at 300x300"):
        pairs(actor, picture_size=FrameSize(300, 300))
