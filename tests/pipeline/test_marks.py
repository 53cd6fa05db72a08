"""What the orchestrator adds to pictures so that they can be recognised as synthetic: the watermark and the label."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dance.v1 import frame_pb2, normalize_pb2, transfer_pb2
from prometheus_client import REGISTRY

from client.connection.session import DanceClient
from motion import skeleton
from motion.frame import FrameSize, Picture
from motion.pose import Pose
from orchestrator.session.checkpoint import CheckpointSealer
from orchestrator.session_config import PoseConfig, SessionConfig
from provenance.watermark.code import Payload
from provenance.watermark.marking import Watermark
from provenance.watermark.server_key import key_id
from serving.pictures.codec import decode_picture, decode_rgba
from serving.rpc import converters
from tests.pipeline.chain import (
    Dancing,
    Stack,
    configured,
    dance,
    pixels,
    pose_frame,
    publish_actor,
    raw_frame,
    stack_of,
)
from tests.pipeline.fake_stages import SIDE_PX, ZERO, person
from tests.tiny_wardrobes import tiny_wardrobe, with_arms_turned

PNG, JPEG, RAW = (
    frame_pb2.PICTURE_ENCODING_PNG,
    frame_pb2.PICTURE_ENCODING_JPEG,
    frame_pb2.PICTURE_ENCODING_RAW,
)


def output(encoding: Any, **more: Any) -> transfer_pb2.OutputFormat:
    """Answers in this encoding."""
    return transfer_pb2.OutputFormat(encoding=encoding, **more)


def decoded(answer: transfer_pb2.TransferAnswer) -> Picture:
    """The picture of an answer in any encoding."""
    return decode_picture(converters.picture_from_proto(answer.picture))


def counted(mark: str) -> float:
    """How many pictures were sent with this mark so far."""
    return REGISTRY.get_sample_value("dance_marked_frames_total", {"mark": mark}) or 0.0


def mark_of(stack: Stack, answer: transfer_pb2.TransferAnswer) -> Payload:
    """What the watermark of a session says, as its checkpoint carries it."""
    assert stack.settings.checkpoint_key_file is not None
    sealer = CheckpointSealer.from_file(stack.settings.checkpoint_key_file, setting="KEYS")
    config = SessionConfig(actor="ben", pose=PoseConfig(), frame_rate_hz=25.0)
    mark = sealer.open(answer.checkpoint, config, "anonymous").mark
    assert mark is not None
    return mark


@pytest.mark.parametrize("encoding", [PNG, JPEG, RAW])
@pytest.mark.parametrize("full_frame", [False, True])
async def test_every_picture_that_is_sent_has_the_watermark(
    stacks: tuple[Stack, Stack], encoding: int, full_frame: bool
) -> None:
    """In every encoding, with and without the full frame, the picture is the unmarked one with the pattern on it."""
    stack, _ = stacks
    config = configured(
        "ben", output=output(encoding, full_frame=full_frame, jpeg_quality=100), checkpoint_every_frames=1
    )
    accepted, answers = await dance(stack.stub, config, *(raw_frame(t) for t in range(3)))
    mark = mark_of(stack, answers[0])
    assert mark.key_id == accepted.watermark_key_id
    for t, answer in enumerate(answers):
        plain = np.full((SIDE_PX, SIDE_PX, 3), ZERO + 1 + t, np.uint8)
        expected = Watermark(mark).marked(plain).astype(int)
        got = decoded(answer)[:SIDE_PX, :SIDE_PX].astype(int)
        assert np.abs(got - expected).mean() < (1.5 if encoding == JPEG else 1e-9)
        assert np.abs(got - expected).mean() < np.abs(got - plain).mean()


async def test_a_transparent_picture_and_a_reference_are_marked_where_they_show_something(
    stacks: tuple[Stack, Stack],
) -> None:
    """Both differ from an unmarked server's in colour, where there is some, and nowhere in their opacity."""
    marked, _ = stacks
    config = configured(
        "cara",
        output=output(PNG),
        background=transfer_pb2.Background(transparent=True),
        return_options=transfer_pb2.ReturnOptions(reference=True),
    )
    frames = [pose_frame(0, person())]
    _, (with_mark,) = await dance(marked.stub, config, *frames)
    object.__setattr__(marked.service._shared, "watermark_key", None)
    _, (without,) = await dance(marked.stub, config, *frames)
    for name in ("picture", "reference"):
        first = decode_rgba(converters.picture_from_proto(getattr(with_mark, name)))
        second = decode_rgba(converters.picture_from_proto(getattr(without, name)))
        np.testing.assert_array_equal(first[..., 3], second[..., 3])
        changed = (first[..., :3] != second[..., :3]).any(axis=2)
        assert changed[second[..., 3] == 255].mean() > 0.3
        assert not changed[second[..., 3] == 0].any()


async def test_the_generator_and_the_checkpoint_never_see_a_mark(stacks: tuple[Stack, Stack]) -> None:
    """The previous picture is the network's own, also in a session that resumes with a label."""
    first, second = stacks
    fields = {"label": "AI-generated", "checkpoint_every_frames": 1}
    _, answers = await dance(first.stub, configured("ben", **fields), *(raw_frame(t) for t in range(3)))
    resumed = configured("ben", checkpoint=answers[1].checkpoint, **fields)
    await dance(second.stub, resumed, raw_frame(2))
    for calls, begins in ((first.triton.calls, 0), (second.triton.calls, 2)):
        for t, call in enumerate(calls, start=begins):
            assert set(call.raw_input_contents[1]) == {ZERO + t}


async def test_a_resumed_session_carries_the_same_mark(stacks: tuple[Stack, Stack]) -> None:
    """Another server sends the same bytes, whether the session is LIVE or not; another dance has another mark."""
    first, second = stacks
    live = transfer_pb2.TRANSFER_MODE_LIVE
    marks = set()
    for turn in (0.2, -0.2):
        sent = [pose_frame(t, with_arms_turned(person(), turn * (t + 1))) for t in range(3)]
        dancing = Dancing(first.stub)
        await dancing.send(configured("ben", mode=live, checkpoint_every_frames=1))
        await dancing.accepted()
        answers = []
        for frame in sent:
            await dancing.send(frame)
            answers += await dancing.answers(1)
        resumed = configured("ben", mode=live, checkpoint=answers[1].checkpoint)
        _, (rest,) = await dance(second.stub, resumed, sent[2])
        assert rest.picture.data == answers[2].picture.data
        marks.add(mark_of(first, answers[0]))
        await dancing.rest()
    assert len(marks) == 2


async def test_the_servers_key_is_in_the_mark(stacks: tuple[Stack, Stack]) -> None:
    """The id is that of the first key, and the client is told."""
    stack, _ = stacks
    assert stack.settings.checkpoint_key_file is not None
    key = bytes.fromhex(stack.settings.checkpoint_key_file.read_text().split()[0])
    accepted, (answer,) = await dance(stack.stub, configured("ben", checkpoint_every_frames=1), raw_frame(0))
    assert accepted.watermark_key_id == mark_of(stack, answer).key_id == key_id(key)


async def test_the_list_of_actors_names_the_servers_keys(stacks: tuple[Stack, Stack]) -> None:
    """A client can tell the watermarks of this server from those of others, without a session."""
    stack, _ = stacks
    assert stack.settings.checkpoint_key_file is not None
    keys = stack.settings.checkpoint_key_file.read_text().split()
    async with DanceClient(stack.address) as client:
        listing = await client.listing()
    assert listing.watermark_key_ids == tuple(key_id(bytes.fromhex(key)) for key in keys)


@pytest.mark.settings(watermark=False)
async def test_only_the_servers_setting_leaves_the_watermark_out(stack: Stack) -> None:
    """Then `accepted` has no key id, the picture is the network's own, and the pictures are counted."""
    before = counted("none")
    accepted, (answer,) = await dance(stack.stub, configured("ben"), raw_frame(0))
    assert not accepted.HasField("watermark_key_id")
    async with DanceClient(stack.address) as client:
        assert (await client.listing()).watermark_key_ids == ()
    assert (pixels(answer) == ZERO + 1).all()
    assert counted("none") == before + 1


async def test_a_label_is_burned_in_when_the_client_asks(stack: Stack) -> None:
    """It is in `accepted`, in the lower left corner, and counted."""
    before = counted("label")
    accepted, (answer,) = await dance(stack.stub, configured("ben", label="AI"), raw_frame(0))
    assert accepted.config.label == "AI"
    corner = pixels(answer)[-20:, :24]
    assert corner.max() > 200
    assert corner.min() < 100
    assert counted("label") == before + 1


@pytest.mark.settings(label="made here")
@pytest.mark.parametrize("asked", ["", "mine"])
async def test_a_label_of_the_server_is_enforced(stack: Stack, asked: str) -> None:
    """Whatever the client requests, `accepted` has the server's label and the picture shows it."""
    accepted, (answer,) = await dance(stack.stub, configured("ben", label=asked), raw_frame(0))
    assert accepted.config.label == "made here"
    assert pixels(answer).max() > 200


@pytest.mark.parametrize("label", ["Создано ИИ", "a" * 41, "two\nlines", "   "])
async def test_a_label_that_cannot_be_drawn_is_refused(stack: Stack, label: str) -> None:
    """The status names the field and what is expected."""
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben", label=label))
    _, error = await dancing.failure()
    assert (error.details() or "").startswith("config.label: expected 1 to 40 printable ASCII characters")


def with_head_at(x_px: float, y_px: float) -> Pose:
    """The usual person, moved so that the nose is there, in pixels of the actor's full frame."""
    standing = person()
    nose_px = standing.joints_px[skeleton.NOSE]
    return standing.transformed(1.0, 1.0, x_px - nose_px[0], y_px - nose_px[1])


def label_corner(picture: Picture) -> str:
    """Where the white letters of a label are."""
    rows, columns = np.nonzero((picture > 235).all(axis=2))
    height_px, width_px = picture.shape[:2]
    vertical = "upper" if rows.mean() < height_px / 2 else "lower"
    return f"{vertical} {'left' if columns.mean() < width_px / 2 else 'right'}"


@pytest.fixture
async def wide_stage(tmp_path: Path) -> AsyncIterator[Stack]:
    """An orchestrator with the actor ida: a stage of 64 x 64 in a frame of 256 x 256, drawn at 512 x 512 or smaller."""
    standing = person().transformed(8.0, 8.0)
    wardrobe = tiny_wardrobe([standing], 512)
    publish_actor(tmp_path, "ida", face=False, size=FrameSize(256, 256), drawn_px=512, wardrobe=wardrobe)
    async with stack_of(tmp_path) as running:
        running.triton.paint = lambda model, label_map, previous: np.full_like(previous, 90)
        yield running


@pytest.mark.parametrize("size_px", [512, 256])
@pytest.mark.parametrize(
    ("nose_px", "full_frame", "corner"),
    [
        ((50, 20), False, "lower left"),
        ((10, 58), False, "lower right"),
        ((10, 58), True, "lower left"),  # in the stage's corner, which is the upper left one of the footage
    ],
)
async def test_a_label_hides_no_face_at_any_size(
    wide_stage: Stack, size_px: int, nose_px: tuple[int, int], full_frame: bool, corner: str
) -> None:
    """The head is found in the pixels of the picture that is sent: of the rung, or of the whole frame."""
    config = configured(
        "ida",
        mode=transfer_pb2.TRANSFER_MODE_LIVE,
        label="AI",
        output=output(RAW, full_frame=full_frame),
        picture_size=normalize_pb2.FrameSize(width_px=size_px, height_px=size_px),
    )
    wide_stage.normalize.change = lambda answer: answer.pose.CopyFrom(converters.pose_to_proto(with_head_at(*nose_px)))
    _, (answer,) = await dance(wide_stage.stub, config, pose_frame(0, person()))
    assert answer.WhichOneof("result") == "picture"
    assert label_corner(pixels(answer)) == corner


async def test_a_reference_has_the_label_too(stacks: tuple[Stack, Stack]) -> None:
    """It shows the actor's limbs: the letters are opaque where there is nothing else."""
    stack, _ = stacks
    config = configured("cara", label="AI", return_options=transfer_pb2.ReturnOptions(reference=True))
    _, (answer,) = await dance(stack.stub, config, pose_frame(0, person()))
    reference = decode_rgba(converters.picture_from_proto(answer.reference))
    assert (reference[-20:, :24, 3] == 255).mean() > 0.5
    assert reference[-20:, :24, :3].max() > 235
