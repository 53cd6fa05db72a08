"""A real Prometheus with the configuration of deploy/ scrapes a real stack during transfers and a training."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from dance.v1 import frame_pb2, transfer_pb2

from client.local_stack.processes import ManagedProcess, ProcessSpec
from serving.actors.store import ActorStore
from tests.faults.dancer import dance, moving_poses
from tests.faults.deployment import HOST, Deployment, free_ports
from tests.observability.expressions import panel_expressions, rule_expressions
from tests.observability.local_prometheus import LocalPrometheus
from tests.observability.page_visits import page, visit
from tests.pipeline.fake_stages import SIDE_PX, person
from tests.tiny_actors import publish_tiny
from tests.tiny_wardrobes import tiny_wardrobe, with_arms_turned
from video.reader import VideoReader

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed (Debian's package prometheus)"
)

PATIENCE_SECONDS = 200.0
TRAINING = ("training /", "DanceTraining")
PICTURES = 12
POSES = 40

NOT_HERE = {
    "grafana": "Grafana has no Debian package and no wheel",
    "kube-state-metrics": "the test runs without Kubernetes",
}
"""Scrape jobs without a target, with the reason."""

GPU = "Triton only has GPU metrics on a GPU"
TLS = "this stack uses plaintext, so it has no certificate"
KUBERNETES = "kube-state-metrics needs Kubernetes"
WITHOUT_DATA = {
    "transfer / Processes / Certificates expire in / A": TLS,
    "triton / GPU / GPU utilisation / A": GPU,
    "triton / GPU / GPU memory / A": GPU,
    "triton / GPU / GPU memory / B": GPU,
    "triton / GPU / GPU power / A": GPU,
    "triton / GPU / GPU power / B": GPU,
    "training / Jobs / Jobs by state / A": KUBERNETES,
    "training / Jobs / Jobs by state / B": KUBERNETES,
    "training / Jobs / Jobs by state / C": KUBERNETES,
    "DanceCertificateExpires": TLS,
    "DanceTrainingJobFailed": KUBERNETES,
    "DanceServiceAbsent": "absent() only has data if something is absent",
}
"""Expressions that cannot have data in this test, with the reason; an entry that does have data is an error."""


def sample_clip(root: Path) -> list[transfer_pb2.TransferFrame]:
    """Return the first frames of the sample clip, as a client sends them."""
    with VideoReader(str(root / "samples" / "source_clip.mp4")) as reader:
        pictures = [frame.pixels for frame in islice(reader.frames(), PICTURES)]
    return [
        transfer_pb2.TransferFrame(
            sequence=sequence,
            picture=frame_pb2.Picture(
                encoding=frame_pb2.PICTURE_ENCODING_JPEG,
                data=simplejpeg.encode_jpeg(pixels, quality=90),
                width_px=pixels.shape[1],
                height_px=pixels.shape[0],
            ),
        )
        for sequence, pixels in enumerate(pictures)
    ]


@asynccontextmanager
async def training(folder: Path, port: int) -> AsyncIterator[ManagedProcess]:
    """Run a process that trains a tiny network until the context ends."""
    environment = {"TRAINING_METRICS_PORT": str(port), "TRAINING_METRICS_HOST": HOST}
    command = (sys.executable, "-m", "tests.observability.tiny_training", str(folder))
    process = ManagedProcess(ProcessSpec("training", command, environment), folder / "training.log")
    try:
        await process.start()
        yield process
    finally:
        await process.end(10.0)


@pytest.mark.timeout(300)
async def test_every_panel_and_rule_has_data(root: Path, tmp_path: Path) -> None:
    """Every target is up, and every expression of every panel, rule and alert has data unless it cannot."""
    for name in ("files", "training", "prometheus", "web"):
        (tmp_path / name).mkdir()
    wardrobe = tiny_wardrobe([with_arms_turned(person(), angle) for angle in np.linspace(0, 2, 8)], SIDE_PX)
    publish_tiny(ActorStore(tmp_path / "actors"), tmp_path / "files", "tiny", side_px=SIDE_PX, wardrobe=wardrobe)
    training_port, page_port = free_ports(2)
    asked = panel_expressions() | rule_expressions()
    assert set(WITHOUT_DATA) <= set(asked), "WITHOUT_DATA names an expression that does not exist"
    clip = await asyncio.to_thread(sample_clip, root)
    async with (
        training(tmp_path / "training", training_port) as trained,
        Deployment(tmp_path, tmp_path / "actors") as deployment,
        page(tmp_path / "web", deployment.address, page_port) as address,
    ):
        ports = deployment.ports
        targets = {
            name: [f"{HOST}:{ports[f'{name}_metrics']}"] for name in ("orchestrator", "pose", "normalize", "face")
        }
        targets |= {
            "agent": [f"{HOST}:{ports['generator_metrics']}"],
            "triton": [f"{HOST}:{ports['tm']}"],
            "training": [f"{HOST}:{training_port}"],
            "web": [f"{HOST}:{page_port}"],
        }
        targets |= {name: [] for name in NOT_HERE}
        with LocalPrometheus(tmp_path / "prometheus", targets) as prometheus:
            missing, down = set(asked), {"all": "not scraped yet"}
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while missing - set(WITHOUT_DATA) or down:
                        if not all(name.startswith(TRAINING) for name in missing - set(WITHOUT_DATA)):
                            await visit(address, "tiny")
                            await dance(deployment.address, clip)
                            await dance(deployment.address, clip, adaptive=True)
                            await dance(deployment.address, moving_poses(POSES))
                        await asyncio.to_thread(next_evaluation, prometheus)
                        down = await asyncio.to_thread(targets_down, prometheus)
                        missing = await asyncio.to_thread(without_data, prometheus, asked)
            rules = await asyncio.to_thread(prometheus.rules)
            labels = [series.labels for series in await asyncio.to_thread(prometheus.now, "dance_build_info")]
        training_log = trained.log_tail()
    assert not down, (down, training_log)
    assert not missing - set(WITHOUT_DATA), sorted(missing - set(WITHOUT_DATA))
    assert not set(WITHOUT_DATA) - missing, "these have data: remove them from WITHOUT_DATA"
    assert not {rule["name"]: rule["lastError"] for rule in rules if rule["health"] != "ok"}
    assert {one["namespace"] for one in labels} == {"everybody-dance"}
    assert all(one["pod"] == HOST for one in labels)


def next_evaluation(prometheus: LocalPrometheus) -> None:
    """Wait until Prometheus has evaluated all rules once more."""
    before, give_up_at_s = prometheus.evaluations(), time.monotonic() + PATIENCE_SECONDS
    while prometheus.evaluations() == before and time.monotonic() < give_up_at_s:
        time.sleep(0.1)


def targets_down(prometheus: LocalPrometheus) -> dict[str, str]:
    """Return the error of each target that is down or missing; empty if all are up."""
    targets = prometheus.targets()
    expected = {"orchestrator", "pose", "normalize", "face", "agent", "triton", "web", "training", "prometheus"}
    absent = expected - {target["labels"]["job"] for target in targets}
    return dict.fromkeys(absent, "not found") | {
        target["labels"]["job"]: target["lastError"] or target["health"]
        for target in targets
        if target["health"] != "up"
    }


def without_data(prometheus: LocalPrometheus, asked: dict[str, str]) -> set[str]:
    """Return the names of the expressions that have no number now."""
    return {name for name, expr in asked.items() if not any(series.finite for series in prometheus.now(expr))}
