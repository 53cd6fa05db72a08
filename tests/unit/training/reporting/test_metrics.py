"""The Prometheus metrics of a training."""

from __future__ import annotations

import math
import socket
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.errors import BadSettings
from training.evaluation.metrics import PictureScores
from training.reporting import metrics
from training.reporting.progress import Progress


@pytest.fixture
def port(monkeypatch) -> int:
    """A free port for the metrics."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    monkeypatch.setenv("TRAINING_METRICS_PORT", str(free))
    monkeypatch.setenv("TRAINING_METRICS_HOST", "127.0.0.1")
    return free


def page(port):
    """The values by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("dance_training")
    }


def test_training_shows_phase_losses_and_time_left(port):
    """The current phase is 1, the one before 0; notes do not change the time left; serving ends with training."""
    told = []
    with metrics.served(told.append) as keep:
        keep(Progress(phase="poses", part=0.5))
        keep(Progress(phase="body", part=0.1, seconds_left=90.0, losses={"l1": 0.25}))
        keep(Progress(phase="body", part=0.1, note="half way"))
        shown = page(port)
    assert (shown["dance_training_phase", "body"], shown["dance_training_phase", "poses"]) == (1, 0)
    assert shown["dance_training_loss", "l1"] == 0.25
    assert shown["dance_training_seconds_left",] == 90.0
    assert [progress.phase for progress in told] == ["poses", "body", "body"]
    with pytest.raises(OSError, match="refused"):
        page(port)


def test_unknown_time_left_is_no_number(port):
    """A phase with an unknown end shows NaN, not the estimate of the phase before."""
    with metrics.served(lambda progress: None) as keep:
        keep(Progress(phase="body", seconds_left=90.0))
        keep(Progress(phase="evaluating"))
        assert math.isnan(page(port)["dance_training_seconds_left",])


def test_steps_scores_and_checkpoints_are_counted(port):
    """Pictures count as drawn in a step; a face that is not seen has no score."""
    with metrics.served(lambda progress: None):
        before = page(port)
        with metrics.step(8):
            pass
        metrics.scored(PictureScores(4, 0.5, 0.4, 20.0, 0, None, None, None))
        metrics.checkpoint_written()
        after = page(port)
    assert after["dance_training_frames_seen_total",] - before["dance_training_frames_seen_total",] == 8
    assert after["dance_training_step_seconds_count",] - before["dance_training_step_seconds_count",] == 1
    assert after["dance_training_score", "body_ssim"] == 0.5
    assert ("dance_training_score", "frames") not in after
    assert after["dance_training_checkpoint_timestamp_seconds",] > 1.7e9


def test_pictures_of_several_machines_add_up(monkeypatch):
    """One process counts for all of its machine: 4 of 6 processes drew 8 of 12 pictures."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("WORLD_SIZE", "6")
    before = metrics.FRAMES_SEEN._value.get()
    with metrics.step(12):
        pass
    assert metrics.FRAMES_SEEN._value.get() - before == pytest.approx(8)


def test_nothing_is_served_unless_asked_for(monkeypatch):
    """Without a port there is no server; of several processes, only the first on a machine has one."""
    monkeypatch.delenv("TRAINING_METRICS_PORT", raising=False)
    served = []
    monkeypatch.setattr(metrics, "start_http_server", lambda *where: served.append(where))
    with metrics.served(lambda progress: None):
        pass
    monkeypatch.setenv("TRAINING_METRICS_PORT", "9464")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with metrics.served(lambda progress: None):
        pass
    assert not served


def test_a_port_that_is_taken_is_named(port):
    """The message names the variable and the address."""
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(BadSettings, match=rf"TRAINING_METRICS_PORT.*127.0.0.1:{port}"),
        metrics.served(lambda progress: None),
    ):
        pass


@pytest.mark.parametrize("wrong", ["many", "70000"])
def test_a_port_that_is_none_is_refused(monkeypatch, wrong):
    """An invalid port is named."""
    monkeypatch.setenv("TRAINING_METRICS_PORT", wrong)
    with pytest.raises(BadSettings, match=wrong), metrics.served(lambda progress: None):
        pass
