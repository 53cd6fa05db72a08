"""Poses written as OpenPose JSON, read back and danced give the same bytes as the direct way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import grpc.aio
import numpy as np

from client.connection.types import PoseChoice
from client.media.source import Source
from client.poses.extract import PoseJob, find_poses
from client.poses.local_estimation import pose_models
from client.terminal.display import Display
from client.terminal.signals import Interrupts
from client.transfer.job import TransferJob
from client.transfer.run import transfer
from motion.people.dancer_choice import DancerChoice, DancerRule
from motion.pose_choice import PoseBackend
from services.pose.servicer import PoseService
from services.pose.settings import PoseSettings
from serving.rpc.error_status import ErrorInterceptor
from serving.rpc.server import SERVER_OPTIONS
from tests.contract.test_pose_backends import NoMediaPipe
from tests.pipeline.chain import publish_actor, stack_of
from tests.tiny_pose_networks import paf_card, two_hands, write_card, write_paf_network

DANCER = DancerChoice(DancerRule.NEAREST, 0.2, 0.25)


def film(path: Path) -> Path:
    """Eight frames of 256 x 128: one person walks to the right, another to the left, and one is away for a while."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 128, 256, "yuv420p"
        for t in range(8):
            people = [(12.0 + t, 36.0 + t, 16.0), (84.0 - t, 116.0 - t, 44.0)]
            picture = two_hands(*(people[1:] if t in (3, 4) else people))
            picture = np.repeat(np.repeat(picture, 2, axis=0), 2, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


async def test_json_and_the_direct_way_are_the_same_bytes(tmp_path: Path) -> None:
    """Normalize gets the same poses and the video is the same, with resized frames and a dancer lost for a while."""
    clip = film(tmp_path / "clip.mp4")
    card = write_card(tmp_path, paf_card(write_paf_network(tmp_path / "paf.onnx")))
    service = PoseService(PoseSettings(openpose_card=card), NoMediaPipe)  # type: ignore[arg-type]
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=SERVER_OPTIONS)
    service.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    publish_actor(tmp_path / "actors", "ben")
    outs, poses = [], []
    try:
        models = pose_models(None, [card])
        source, json = Source(str(clip)), tmp_path / "json"
        job = PoseJob(source=source, models=models, dancer=DANCER, max_side_px=200, json=json)
        report = await asyncio.to_thread(find_poses, job, Display(), lambda: False)
        assert (report.frames, report.frames_lost) == (8, 2)
        async with stack_of(tmp_path / "actors", pose_address=f"127.0.0.1:{port}") as stack:
            for source in (Source(str(clip)), Source(str(tmp_path / "json"), dancer=DANCER)):
                out = tmp_path / f"{len(outs)}.mp4"
                task = asyncio.current_task()
                assert task is not None
                chosen = TransferJob(
                    source=source,
                    actor="ben",
                    out=out,
                    one_pass=True,
                    pose=PoseChoice(PoseBackend.OPENPOSE, DANCER),
                    max_side_px=200,
                )
                stack.normalize.frames.clear()
                told = await transfer(chosen, stack.address, Display(), Interrupts(task))
                assert told.answered == 8
                outs.append(out.read_bytes())
                poses.append([frame.SerializeToString() for frame in stack.normalize.frames])
    finally:
        await server.stop(0)
        await service.close()
    assert poses[0] == poses[1]
    assert sum(len(pose) > 1000 for pose in poses[0]) == 6
    assert outs[0] == outs[1]
