"""`dance transfer --pose here` writes the same bytes as with the server's pose service, and sends no picture."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import av
import grpc.aio
import numpy as np
import pytest
from dance.v1 import normalize_pb2, transfer_pb2

from client.connection import messages, session
from client.connection.types import PoseChoice, PosedFrame, SentFrame
from client.media.source import Source
from client.poses.dancer_estimator import DancerEstimator, opened_backends
from client.terminal.display import Display
from client.terminal.signals import Interrupts
from client.transfer.job import TransferJob
from client.transfer.report import TransferReport
from client.transfer.run import transfer
from motion.frame import Frame
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseBackend, PoseDetail
from services.pose.servicer import PoseService
from services.pose.settings import PoseSettings
from serving.rpc.error_status import ErrorInterceptor
from serving.rpc.server import SERVER_OPTIONS
from tests.contract.test_pose_backends import NoMediaPipe
from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.pipeline.fake_stages import SIDE_PX
from tests.pipeline.test_keypoints_round_trip import DANCER, film
from tests.tiny_pose_networks import paf_card, write_card, write_paf_network
from video.reader import VideoReader

_FRAMES = 9
_SIDE_PX = 256


def dancing(root: Path, path: Path) -> Path:
    """The first frames of the sample clip, smaller, with one frame in which there is no dancer."""
    with VideoReader(str(root / "samples" / "source_clip.mp4")) as reader, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = _SIDE_PX, _SIDE_PX, "yuv420p"
        for t, shown in zip(range(_FRAMES), reader.frames(), strict=False):
            pixels = np.zeros_like(shown.pixels) if t == 5 else shown.pixels
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(_SIDE_PX, _SIDE_PX)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def as_drawn(stack: Stack) -> None:
    """Let the pictures depend on the poses: each is the label map of the pose, shrunk into the actor's crop."""

    def shrink(answer: normalize_pb2.NormalizedPose) -> None:
        axes = (answer.pose.x_px, answer.pose.y_px) if answer.HasField("pose") else ()
        for axis in axes:
            axis[:] = [SIDE_PX / _SIDE_PX * position for position in axis]

    stack.normalize.change = shrink
    stack.triton.paint = lambda model, label_map, previous: label_map


async def danced(stack: Stack, job: TransferJob) -> tuple[bytes, list[bytes], TransferReport]:
    """The output file, the poses that normalize got, and the report."""
    as_drawn(stack)
    task = asyncio.current_task()
    assert task is not None
    report = await transfer(job, stack.address, Display(), Interrupts(task))
    assert job.out is not None
    return job.out.read_bytes(), [frame.SerializeToString() for frame in stack.normalize.frames], report


async def both_ways(
    tmp_path: Path, settings: PoseSettings, backend: PoseBackend, dancer: DancerChoice, *factory: Any, **job: Any
) -> list[tuple[bytes, list[bytes], TransferReport]]:
    """Dance with the pose service, and with an estimator in this process and a server whose pose service is unused."""
    service = PoseService(settings, *factory)
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=SERVER_OPTIONS)
    service.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    publish_actor(tmp_path / "actors", "ben")
    common: dict[str, Any] = {"actor": "ben", "max_side_px": 200, **job}
    backends = opened_backends({kind: path for kind, path in settings.cards().items() if path is not None})

    def start(detail: PoseDetail) -> DancerEstimator:
        return DancerEstimator(backends, backend, detail, dancer)

    try:
        async with stack_of(tmp_path / "actors", pose_address=f"127.0.0.1:{port}") as stack:
            there = await danced(
                stack, TransferJob(out=tmp_path / "there.mp4", pose=PoseChoice(backend, dancer), **common)
            )
        async with stack_of(tmp_path / "actors") as stack:
            here = await danced(stack, TransferJob(out=tmp_path / "here.mp4", estimator=start, **common))
            assert not stack.pose.configs
    finally:
        await server.stop(0)
        await service.close()
    return [there, here]


@pytest.mark.parametrize("detail", [PoseDetail.HOLISTIC, PoseDetail.LIVE])
async def test_the_output_is_the_same_as_with_the_servers_poses(
    tmp_path: Path, root: Path, detail: PoseDetail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both passes are, with the comparison, resized frames, carried hands and a frame without the dancer."""
    sent: list[SentFrame] = []
    as_message = messages.frame_to_proto

    def noted(frame: SentFrame) -> transfer_pb2.TransferFrame:
        sent.append(frame)
        return as_message(frame)

    monkeypatch.setattr(session, "frame_to_proto", noted)
    source = Source(str(dancing(root, tmp_path / "clip.mp4")))
    there, here = await both_ways(
        tmp_path, PoseSettings(), PoseBackend.MEDIAPIPE, DancerChoice(), source=source, detail=detail, compare=True
    )
    assert here[0] == there[0]
    assert here[1] == there[1]
    assert sum(len(pose) > 1000 for pose in here[1]) == _FRAMES - 1
    assert here[2].remarks == there[2].remarks
    carried = here[2].remarks["face and hands carried"]
    assert (carried > 0) is (detail is PoseDetail.LIVE)
    assert [row.stage for row in here[2].stages()] == [row.stage for row in there[2].stages()]
    assert [type(frame) for frame in sent] == [Frame] * 2 * _FRAMES + [PosedFrame] * 2 * _FRAMES


async def test_the_same_dancer_is_chosen_among_several(tmp_path: Path) -> None:
    """The dancer whom the rule names is found and lost in the same frames, and both are said."""
    card = write_card(tmp_path, paf_card(write_paf_network(tmp_path / "paf.onnx")))
    there, here = await both_ways(
        tmp_path,
        PoseSettings(openpose_card=card),
        PoseBackend.OPENPOSE,
        DANCER,
        NoMediaPipe,
        source=Source(str(film(tmp_path / "clip.mp4"))),
        one_pass=True,
    )
    assert here[:2] == there[:2]
    assert here[2].remarks == there[2].remarks
    assert here[2].remarks["dancer lost"] == 2
