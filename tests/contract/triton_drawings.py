"""Pictures drawn by a real Triton, and what they must be."""

from __future__ import annotations

import numpy as np
import tritonclient.grpc.aio as triton_grpc

from motion.frame import Picture
from serving.actors.store import Actor

SIDE_PX = 32


def pictures(seed: int, *, side_px: int = SIDE_PX, count: int = 1, channels: int = 3) -> Picture:
    """`[count, side_px, side_px, channels]` uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (count, side_px, side_px, channels)).astype(np.uint8)


def right_answer(label_map: Picture, previous: Picture, bias: int, reference: Picture | None = None) -> Picture:
    """Return what the actors of these tests draw. Those with a wardrobe add an eighth of the reference's colours."""
    added = 0 if reference is None else 0.125 * reference[..., :3]
    blended: Picture = np.rint(0.5 * label_map + 0.25 * previous + added + bias).astype(np.uint8)
    return blended


async def draw(
    caller: triton_grpc.InferenceServerClient,
    actor: Actor,
    label_map: Picture,
    previous: Picture,
    reference: Picture | None = None,
) -> triton_grpc.InferResult:
    """Call Triton like any client of KServe's protocol. reference: `[N, H, W, 4]` uint8; None sends none."""
    inputs = []
    given = {"LABEL_MAP": label_map, "PREVIOUS_FRAME": previous}
    for name, picture in (given if reference is None else given | {"REFERENCE": reference}).items():
        inputs.append(triton_grpc.InferInput(name, list(picture.shape), "UINT8"))
        inputs[-1].set_data_from_numpy(picture)
    return await caller.infer(actor.id, inputs, model_version=str(actor.version))


async def assert_draws(caller: triton_grpc.InferenceServerClient, actor: Actor, bias: int) -> None:
    """Check that the actor's version draws the right picture."""
    label_map, previous = pictures(1), pictures(2)
    frame = (await draw(caller, actor, label_map, previous)).as_numpy("FRAME")
    np.testing.assert_array_equal(frame, right_answer(label_map, previous, bias))
