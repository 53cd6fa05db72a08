"""Malformed bytes: all are answered, none is trusted, and none costs more than its size."""

from __future__ import annotations

import os
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import cv2
import grpc
import grpc.aio
import numpy as np
import pytest
from dance.v1 import frame_pb2, pose_pb2, transfer_pb2

from motion.frame import EncodedPicture, PictureEncoding
from serving.errors import BadPicture
from serving.pictures.codec import PictureLimits, check_picture, decode_picture, encode_picture
from serving.rpc import converters
from serving.rpc.channels import open_channel
from tests.pipeline.chain import Dancing, Stack, configured, pose_frame, raw_frame
from tests.pipeline.fake_stages import SIDE_PX, person

LIMITS = PictureLimits(max_side_px=256, max_bytes=300_000)
QUICK_CASES = 2_000
SLOW_CASES = int(os.environ.get("DANCE_FUZZ_CASES", "100000"))
JPEG, PNG, RAW = PictureEncoding.JPEG, PictureEncoding.PNG, PictureEncoding.RAW


def png(width_px: int, height_px: int, body: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG whose header claims a size, with any body."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width_px, height_px, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_claiming(data: bytes, width_px: int, height_px: int) -> bytes:
    """A JPEG with another size in its frame header."""
    at = next(i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC2))
    return data[: at + 5] + struct.pack(">HH", height_px, width_px) + data[at + 9 :]


def corpus() -> dict[str, EncodedPicture]:
    """Valid pictures and decompression bombs; all claim 48 x 32 pixels unless the name says otherwise."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    jpeg = encode_picture(pixels, JPEG).data
    flat = encode_picture(pixels, PNG).data
    progressive = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    deep = cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes()
    grey = cv2.imencode(".png", pixels[..., 0])[1].tobytes()
    # 16 MiB of zeros in 16 kB: far more than the header's size can hold.
    claim = flat[:33] + struct.pack(">I", 2**30) + b"iCCP" + flat[33:]
    scans = jpeg[:-2] + 5000 * jpeg[jpeg.index(b"\xff\xda") : -2] + jpeg[-2:]
    bomb = zlib.compress(bytes(2**24), 9)
    exif = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 34) + b"Exif\0\0MM\0*" + b"\xff" * 22 + jpeg[2:]
    cases = {
        "jpeg": (JPEG, jpeg), "png": (PNG, flat), "raw": (RAW, pixels.tobytes()),
        "progressive jpeg": (JPEG, progressive),
        "16 bits": (PNG, deep), "grey": (PNG, grey), "exif of nonsense": (JPEG, exif), "empty jpeg": (JPEG, b""),
        "empty png": (PNG, b""), "empty raw": (RAW, b""), "raw too short": (RAW, bytes(100)),
        "raw too long": (RAW, bytes(48 * 32 * 3 + 1)), "jpeg of 65535": (JPEG, jpeg_claiming(jpeg, 65535, 65535)),
        "png of 65535": (PNG, png(65535, 65535, bomb)), "png of 2^31-1": (PNG, png(2**31 - 1, 2**31 - 1, bomb)),
        "png bomb": (PNG, png(48, 32, bomb)), "png of 0": (PNG, png(0, 0, b"")),
        "half a jpeg": (JPEG, jpeg[: len(jpeg) // 2]),
        "half a png": (PNG, flat[: len(flat) // 2]), "jpeg's header": (JPEG, jpeg[:30]),
        "png said to be jpeg": (JPEG, flat),
        "chunk of a gigabyte": (PNG, claim),
        "thousands of scans": (JPEG, scans[:280_000]),
        "palette": (PNG, png(48, 32, bomb, colour=3)), "4 bits": (PNG, png(48, 32, bomb, depth=4, colour=0)),
    }  # fmt: skip
    return {name: EncodedPicture(encoding, 48, 32, data) for name, (encoding, data) in cases.items()}


def mutations(cases: int, seed: int) -> Iterator[EncodedPicture]:
    """Pictures of the corpus with bytes changed, removed, doubled and inserted; and with other claims."""
    chance = random.Random(seed)
    sound = list(corpus().values())
    for _ in range(cases):
        picture = chance.choice(sound)
        data = bytearray(picture.data)
        for _ in range(chance.choice((0, 1, 1, 2, 5, 20))):
            if not data:
                break
            # Headers decide most: half of the changes hit the first bytes.
            at = chance.randrange(min(len(data), 64) if chance.random() < 0.5 else len(data))
            kind = chance.randrange(4)
            if kind == 0:
                data[at] = chance.randrange(256)
            elif kind == 1:
                del data[at : at + chance.randrange(1, 64)]
            elif kind == 2:
                data[at:at] = data[at : at + chance.randrange(1, 64)]
            else:
                data[at:at] = chance.randbytes(chance.randrange(1, 16))
        width_px, height_px = picture.width_px, picture.height_px
        if chance.random() < 0.1:
            width_px, height_px = (
                chance.choice((0, 1, 47, 48, 255, 257, 65535, 2**31)),
                chance.choice((0, 32, 256, 2**32 - 1)),
            )
        encoding = chance.choice((JPEG, PNG, RAW)) if chance.random() < 0.05 else picture.encoding
        yield EncodedPicture(encoding, width_px, height_px, bytes(data))


def swallow(picture: EncodedPicture) -> str:
    """The outcome of a picture: "drawn", "refused" by its header, or "damaged" after a valid one."""
    try:
        check_picture(picture, LIMITS, field="frame.picture")
    except BadPicture:
        return "refused"
    assert picture.width_px <= LIMITS.max_side_px
    assert picture.height_px <= LIMITS.max_side_px
    try:
        pixels = decode_picture(picture, field="frame.picture")
    except BadPicture:
        return "damaged"
    assert pixels.shape == (picture.height_px, picture.width_px, 3)
    assert pixels.dtype == np.uint8
    return "drawn"


def fuzz(cases: int, seed: int) -> dict[str, int]:
    """Count each outcome. A result that is neither a picture nor BadPicture fails the test."""
    outcomes = {"drawn": 0, "refused": 0, "damaged": 0}
    for picture in mutations(cases, seed):
        outcomes[swallow(picture)] += 1
    return outcomes


def test_changed_bytes_are_a_picture_or_refused():
    """Each of two thousand broken pictures is drawn at its claimed size, or refused by name."""
    outcomes = fuzz(QUICK_CASES, seed=1)
    assert sum(outcomes.values()) == QUICK_CASES
    assert min(outcomes.values()) > QUICK_CASES // 50  # the corpus reaches all three outcomes


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_changed_bytes_are_a_picture_or_refused_at_length():
    """A hundred thousand of them, or the number in DANCE_FUZZ_CASES."""
    print(fuzz(SLOW_CASES, seed=2))


@pytest.mark.parametrize("name", [name for name in corpus() if "65535" in name or "2^31" in name])
def test_nothing_is_allocated_for_what_a_header_claims(name: str):
    """A header beyond the limits is refused before anything is decoded."""
    picture = corpus()[name]
    tracemalloc.start()
    try:
        assert swallow(picture) == "refused"
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["png bomb", "4 bits", "palette", "chunk of a gigabyte", "thousands of scans"])
def test_what_unpacks_to_more_than_its_size_is_not_unpacked(name: str, capfd: pytest.CaptureFixture[str]):
    """They are refused before a decoder sees them: no decoder prints a message."""
    assert swallow(corpus()[name]) == "damaged"
    assert capfd.readouterr().err == ""


async def test_bombs_are_bad_frames_and_the_session_continues(stack: Stack) -> None:
    """Each gets its answer in its turn; the good frame after them is drawn."""
    pictures = list(corpus().values())
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"), raw_frame(0))
    await dancing.accepted()
    for t, picture in enumerate(pictures, start=1):
        sent = frame_pb2.Picture(
            encoding=converters.ENCODING_TO_PROTO[picture.encoding],
            width_px=picture.width_px,
            height_px=picture.height_px,
            data=picture.data,
        )
        await dancing.send(
            transfer_pb2.TransferRequest(frame=transfer_pb2.TransferFrame(sequence=t, picture=sent)),
        )
        (answer,) = await dancing.answers(1) if t > 1 else (await dancing.answers(2))[1:]
        assert answer.sequence == t
        assert answer.no_picture.reason == transfer_pb2.NO_PICTURE_REASON_BAD_FRAME  # a different size, at least
    await dancing.send(raw_frame(len(pictures) + 1))
    (last,) = await dancing.rest()
    assert last.WhichOneof("result") == "picture"


def _nan_pose(message: pose_pb2.Pose) -> None:
    message.x_px[3] = float("nan")


def _short_pose(message: pose_pb2.Pose) -> None:
    del message.y_px[:]


def _too_sure_pose(message: pose_pb2.Pose) -> None:
    message.confidence[0] = 7.0


@pytest.mark.parametrize("spoil", [_nan_pose, _short_pose, _too_sure_pose])
async def test_pose_that_is_none_ends_the_session_by_name(stack: Stack, spoil: Callable[[pose_pb2.Pose], None]) -> None:
    """INVALID_ARGUMENT that names the field, after the earlier frames."""
    request = pose_frame(1, person())
    spoil(request.frame.client_pose.pose)
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben"), pose_frame(0, person()), request)
    await dancing.accepted()
    answers, error = await dancing.failure()
    assert [answer.sequence for answer in answers] == [0]
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("frame.client_pose.pose")


async def test_checkpoints_of_random_bytes_are_refused(stack: Stack) -> None:
    """Whatever their contents and length: INVALID_ARGUMENT, and the server keeps serving."""
    chance = random.Random(3)
    _, whole = await _with_checkpoint(stack)
    for _ in range(60):
        data = bytearray(whole if chance.random() < 0.7 else chance.randbytes(chance.randrange(1, 5000)))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        if bytes(data) == whole:
            continue
        dancing = Dancing(stack.stub)
        await dancing.send(configured("ben", checkpoint=bytes(data[: chance.randrange(1, len(data) + 1)])))
        _, error = await dancing.failure()
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await _with_checkpoint(stack))[0] == 1


async def _with_checkpoint(stack: Stack) -> tuple[int, bytes]:
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ben", checkpoint_every_frames=1), raw_frame(0, side_px=SIDE_PX))
    await dancing.accepted()
    answers = await dancing.rest()
    return len(answers), answers[0].checkpoint


async def test_a_malformed_request_is_the_clients_fault(stack: Stack) -> None:
    """INVALID_ARGUMENT, after the earlier frames, and nothing in our log."""
    async with open_channel(stack.address) as channel:
        call = channel.stream_stream("/dance.v1.TransferService/Transfer")()
        for request in (configured("ben"), raw_frame(0)):
            await call.write(request.SerializeToString())
        for _ in range(2):
            await call.read()
        await call.write(b"\xff\xff\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "request: is not a message of this contract"
