"""The painters of one actor at several sizes."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from motion.crop import Crop
from motion.frame import FrameSize
from services.generator.actor_network import Painter
from services.generator.sizes import SizedPainters, SizeNotReady
from serving.actors.store import Actor, NetworkShape
from serving.errors import ActorUnusable

SMALL = FrameSize(256, 256)


def actor(*, reference: bool = True) -> Actor:
    """An actor of 512x512."""
    shape = NetworkShape(8, 3, 6, reference=reference)
    return cast("Actor", SimpleNamespace(id="a", version=1, crop=Crop(0, 0, 512, 512, 512, 512), generator=shape))


class Opener:
    """Opens painters, which are only names, once `may` is set; `opened` lists their sizes."""

    def __init__(self) -> None:
        self.opened: list[FrameSize | None] = []
        self.may = threading.Event()
        self.may.set()
        self.done = threading.Event()
        self.failure: Exception | None = None

    def __call__(self, size: FrameSize | None) -> Painter:
        self.may.wait(10)
        self.opened.append(size)
        if size is not None:
            self.done.set()
        if self.failure is not None:
            raise self.failure
        return cast("Painter", object())


def asked_until_ready(painters: SizedPainters) -> Any:
    """Ask for the small size as the orchestrator does."""
    while True:
        try:
            return painters.of(256, 256)
        except SizeNotReady:
            painters.opening(SMALL).exception(10)


def test_a_smaller_size_is_compiled_when_it_is_first_asked_for() -> None:
    """Until it is ready, requests for it are refused, and the own size is drawn meanwhile."""
    opener = Opener()
    painters = SizedPainters(actor(), opener)
    assert opener.opened == [None]
    opener.may.clear()
    with pytest.raises(SizeNotReady, match="256x256 is being compiled"):
        painters.of(256, 256)
    assert painters.of(512, 512) is painters.own
    opener.may.set()
    small = asked_until_ready(painters)
    assert small is not painters.own
    assert painters.of(256, 256) is small
    assert opener.opened == [None, SMALL]


@pytest.mark.parametrize("failure", [ActorUnusable("no memory"), RuntimeError("no memory")])
def test_a_size_that_cannot_be_compiled_fails_for_itself(failure: Exception) -> None:
    """Requests for it get an error of ours, whatever failed: others in the batch are still drawn."""
    opener = Opener()
    painters = SizedPainters(actor(), opener)
    opener.failure = failure
    with pytest.raises(ActorUnusable, match="no memory"):
        asked_until_ready(painters)
    assert painters.of(512, 512) is painters.own


@pytest.mark.parametrize(("has_reference", "side_px"), [(True, 300), (False, 256)])
def test_other_sizes_go_to_the_own_painter(has_reference: bool, side_px: int) -> None:
    """It refuses them with a message that says what it takes. Networks without a reference have one size."""
    painters = SizedPainters(actor(reference=has_reference), Opener())
    assert painters.of(side_px, side_px) is painters.own


def test_a_gpu_opens_every_size_at_once() -> None:
    """Recording a CUDA graph must not happen while another one runs."""
    opener = Opener()
    painters = SizedPainters(actor(), opener, at_once=True)
    assert opener.opened == [None, FrameSize(384, 384), SMALL]
    assert painters.of(256, 256) is not painters.own
