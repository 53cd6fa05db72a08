"""Sessions that lay the person over another background, or over the whole plate."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
from dance.v1 import frame_pb2, transfer_pb2

from motion.frame import Picture, PictureEncoding, RgbaPicture
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.pieces import Wardrobe
from serving.pictures.codec import decode_rgba, encode_picture
from serving.rpc import converters
from tests.pipeline.chain import Dancing, Stack, configured, dance, pixels, pose_frame
from tests.pipeline.fake_stages import SIDE_PX, person
from tests.tiny_wardrobes import with_arms_turned

FULL_SIZE = (96, 80)
PLATE_LEVEL = 200
GREEN = transfer_pb2.Background(colour=transfer_pb2.Colour(red=0, green=177, blue=64))
TRANSPARENT = transfer_pb2.Background(transparent=True)
PNG = frame_pb2.PICTURE_ENCODING_PNG
RAW = frame_pb2.PICTURE_ENCODING_RAW
RAW_RGBA = frame_pb2.PICTURE_ENCODING_RAW_RGBA
POSE = with_arms_turned(person(), 1.2)


def asked(
    actor: str = "cara",
    *,
    background: transfer_pb2.Background | None = None,
    encoding: Any = RAW,
    full_frame: bool = False,
    **fields: Any,
) -> transfer_pb2.TransferRequest:
    """A config with a background."""
    output = transfer_pb2.OutputFormat(encoding=encoding, full_frame=full_frame)
    return configured(actor, output=output, background=background, **fields)


def picture_background(picture: Picture) -> transfer_pb2.Background:
    """A background picture, as a PNG."""
    return transfer_pb2.Background(picture=converters.picture_to_proto(encode_picture(picture, PictureEncoding.PNG)))


def rgba(answer: transfer_pb2.TransferAnswer) -> RgbaPicture:
    """Return the picture of an answer with an opacity."""
    return decode_rgba(converters.picture_from_proto(answer.picture))


async def refusal(stack: Stack, config: transfer_pb2.TransferRequest) -> str:
    """Return the message with which the config is refused, as INVALID_ARGUMENT."""
    dancing = Dancing(stack.stub)
    await dancing.send(config)
    _, error = await dancing.failure()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    return error.details() or ""


def person_of(wardrobe: Wardrobe) -> RgbaPicture:
    """The person that the fake generator returns for `POSE`."""
    return draw_reference(wardrobe, POSE).picture


@pytest.mark.settings(watermark=False)
async def test_a_colour_is_behind_the_person(stacks: tuple[Stack, Stack], wardrobe: Wardrobe):
    """Where nothing of the person is drawn the answer has the colour, and well inside the person their own colours."""
    stack, _ = stacks
    accepted, (answer,) = await dance(stack.stub, asked(background=GREEN), pose_frame(0, POSE))
    assert accepted.config.background == GREEN
    drawn = person_of(wardrobe)
    picture = pixels(answer)
    assert (picture[drawn[..., 3] == 0] == (0, 177, 64)).all()
    assert (picture[drawn[..., 3] == 255] != (0, 177, 64)).any(axis=1).mean() > 0.9


@pytest.mark.settings(watermark=False)
async def test_a_picture_covers_the_answer(stacks: tuple[Stack, Stack], wardrobe: Wardrobe):
    """A wide picture is shrunk to the answer's height and cut at both sides; `accepted` leaves out its data."""
    stack, _ = stacks
    wide = np.zeros((SIDE_PX * 2, SIDE_PX * 6, 3), np.uint8)
    wide[:, SIDE_PX * 2 : SIDE_PX * 4] = (10, 20, 30)
    config = asked(background=picture_background(wide))
    accepted, (answer,) = await dance(stack.stub, config, pose_frame(0, POSE))
    behind = pixels(answer)[person_of(wardrobe)[..., 3] == 0]
    assert (behind == (10, 20, 30)).all()
    confirmed = accepted.config.background.picture
    assert (confirmed.width_px, confirmed.height_px, confirmed.data) == (SIDE_PX * 6, SIDE_PX * 2, b"")


@pytest.mark.parametrize(("encoding", "sent"), [(0, PNG), (PNG, PNG), (RAW_RGBA, RAW_RGBA)])
async def test_a_transparent_background_returns_an_opacity(
    stacks: tuple[Stack, Stack], wardrobe: Wardrobe, encoding: int, sent: int
):
    """PNG or RAW_RGBA, PNG by default: clear around the person, opaque inside, and never black at a clear edge."""
    stack, _ = stacks
    config = asked(background=TRANSPARENT, encoding=encoding)
    accepted, (answer,) = await dance(stack.stub, config, pose_frame(0, POSE))
    assert accepted.config.output.encoding == answer.picture.encoding == sent
    picture, drawn = rgba(answer), person_of(wardrobe)
    assert (picture[..., 3][drawn[..., 3] == 0] == 0).all()
    assert (picture[..., 3][drawn[..., 3] == 255] == 255).all()
    faint = (drawn[..., 3] > 0) & (drawn[..., 3] < 50)  # at the edge, mixed with the place behind the person
    assert faint.any()
    assert not picture[..., 3][faint].any()


async def test_the_background_does_not_change_the_dance(stacks: tuple[Stack, Stack]):
    """The generator gets the same pictures whatever is behind the person, and returns the person only if needed."""
    stack, _ = stacks
    frames = [pose_frame(number, with_arms_turned(person(), 0.2 * number)) for number in range(4)]
    await dance(stack.stub, asked(), *frames)
    await dance(stack.stub, asked(background=TRANSPARENT, encoding=PNG), *frames)
    own, other = stack.triton.calls[:4], stack.triton.calls[4:]
    assert [call.raw_input_contents for call in own] == [call.raw_input_contents for call in other]
    assert {output.name for call in own for output in call.outputs} == {"FRAME", "COMPUTE_SECONDS"}
    assert {output.name for call in other for output in call.outputs} == {"FRAME", "COMPUTE_SECONDS", "PERSON"}


async def test_the_refined_face_is_the_persons_too(stacks: tuple[Stack, Stack]):
    """The fake face service paints faces black: the person's face is black over any background."""
    stack, _ = stacks
    _, (plain,) = await dance(stack.stub, asked("cara", background=TRANSPARENT, encoding=PNG), pose_frame(0, POSE))
    _, (faced,) = await dance(stack.stub, asked("dora", background=TRANSPARENT, encoding=PNG), pose_frame(0, POSE))
    without, with_face = rgba(plain), rgba(faced)
    np.testing.assert_array_equal(without[..., 3], with_face[..., 3])
    opaque = with_face[..., 3] == 255
    darker = (without[..., :3].astype(int) - with_face[..., :3]).max(axis=2)
    assert darker[opaque].max() > 50
    assert (darker[opaque] >= 0).all()


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("background", [GREEN, TRANSPARENT])
async def test_a_resumed_session_returns_the_same_bytes(
    stacks: tuple[Stack, Stack], at: int, background: transfer_pb2.Background
):
    """Another server that gets the checkpoint and the background continues with the same pictures."""
    first, second = stacks
    frames = [pose_frame(number, with_arms_turned(person(), 0.2 * number)) for number in range(5)]
    fields: dict[str, Any] = {"background": background, "encoding": PNG, "checkpoint_every_frames": 1}
    _, whole = await dance(first.stub, asked("dora", **fields), *frames)
    resumed = asked("dora", checkpoint=whole[at].checkpoint, **fields)
    _, rest = await dance(second.stub, resumed, *frames[at + 1 :])
    assert [answer.picture.data for answer in rest] == [answer.picture.data for answer in whole[at + 1 :]]


async def test_a_retried_frame_returns_the_same_bytes(stacks: tuple[Stack, Stack]):
    """A generator that fails on a frame is asked again for the frame and the person, with the same inputs."""
    steady, stumbling = stacks
    frames = [pose_frame(number, with_arms_turned(person(), 0.2 * number)) for number in range(4)]
    stumbling.triton.stumbles.at(2)
    _, expected = await dance(steady.stub, asked(background=TRANSPARENT, encoding=PNG), *frames)
    _, answers = await dance(stumbling.stub, asked(background=TRANSPARENT, encoding=PNG), *frames)
    assert stumbling.triton.stumbles.count == 1
    assert [answer.picture.data for answer in answers] == [answer.picture.data for answer in expected]


@pytest.mark.settings(watermark=False)
async def test_the_whole_frame_keeps_the_plate_where_nothing_is_drawn(stacks: tuple[Stack, Stack], wardrobe: Wardrobe):
    """Around the person the plate is the file's own, inside the crop too; a background replaces all of it."""
    stack, _ = stacks
    _, (own,) = await dance(stack.stub, asked(full_frame=True), pose_frame(0, POSE))
    _, (green,) = await dance(stack.stub, asked(background=GREEN, full_frame=True), pose_frame(0, POSE))
    around = np.ones(FULL_SIZE[::-1], bool)
    around[:SIDE_PX, :SIDE_PX] = person_of(wardrobe)[..., 3] == 0
    assert (pixels(own)[around] == PLATE_LEVEL).all()
    assert (pixels(own)[~around] != PLATE_LEVEL).any()
    assert (pixels(green)[around] == (0, 177, 64)).all()


async def test_the_whole_frame_may_be_transparent(stacks: tuple[Stack, Stack], wardrobe: Wardrobe):
    """The answer has the footage's size, and everything outside the crop is clear."""
    stack, _ = stacks
    config = asked(background=TRANSPARENT, encoding=RAW_RGBA, full_frame=True)
    _, (answer,) = await dance(stack.stub, config, pose_frame(0, POSE))
    picture = rgba(answer)
    assert picture.shape == (*FULL_SIZE[::-1], 4)
    assert not picture[SIDE_PX:, :, 3].any()
    assert not picture[:, SIDE_PX:, 3].any()
    assert picture[..., 3].max() == 255


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            asked(
                background=transfer_pb2.Background(
                    picture=frame_pb2.Picture(encoding=PNG, width_px=4, height_px=4, data=bytes(8 * 2**20))
                )
            ),
            "config.background.picture.data: has 8388608 bytes, at most 8126464 are accepted",
        ),
        (asked("ben", background=GREEN), "config.background: actor 'ben' version 1 was published without a wardrobe"),
        (
            asked(background=TRANSPARENT, encoding=frame_pb2.PICTURE_ENCODING_JPEG),
            "config.output.encoding: JPEG has no opacity, which a transparent background needs",
        ),
        (asked(background=TRANSPARENT), "config.output.encoding: RAW has no opacity"),
        (asked(encoding=RAW_RGBA), "config.output.encoding: RAW_RGBA is only for a transparent background"),
        (
            asked(background=transfer_pb2.Background(transparent=False)),
            "config.background.transparent: cannot be false",
        ),
        (
            asked(background=transfer_pb2.Background(colour=transfer_pb2.Colour(red=256))),
            "config.background.colour: red, green and blue are 0 to 255, got (256, 0, 0)",
        ),
        (
            asked(
                background=transfer_pb2.Background(
                    picture=frame_pb2.Picture(encoding=PNG, width_px=4, height_px=4, data=b"no")
                )
            ),
            "config.background.picture.data: is not a PNG picture",
        ),
        (
            asked(
                background=transfer_pb2.Background(
                    picture=frame_pb2.Picture(encoding=PNG, width_px=9000, height_px=4, data=b"no")
                )
            ),
            "config.background.picture: is 9000x4, sides from 1 to 4096 pixels are accepted",
        ),
    ],
)
async def test_backgrounds_that_cannot_be_served_are_refused_in_words(
    stacks: tuple[Stack, Stack], config: transfer_pb2.TransferRequest, reason: str
):
    """The session does not begin, and the message names the field."""
    assert (await refusal(stacks[0], config)).startswith(reason)


async def test_actors_without_a_wardrobe_stay_in_their_own_place(stacks: tuple[Stack, Stack]):
    """Without a background they dance as before, in the whole frame too."""
    stack, _ = stacks
    _, (answer,) = await dance(stack.stub, asked("ben", full_frame=True), pose_frame(0, POSE))
    assert pixels(answer).shape == (*FULL_SIZE[::-1], 3)
    assert {output.name for output in stack.triton.calls[0].outputs} == {"FRAME", "COMPUTE_SECONDS"}
