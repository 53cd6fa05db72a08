"""`python -m training`, as a batch system runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from torch.distributed.elastic.multiprocessing.api import SignalException

from serving.actors.store import ActorStore
from serving.errors import BadInput, DanceError, NoBody, StageTimeout, UnreadableVideo, WorkFolderBusy, is_final
from serving.process.exit_codes import EXIT_FAILED, EXIT_FINAL, EXIT_INTERRUPTED, EXIT_PUBLISHED
from tests.unit.training import tiny_command
from training import __main__ as command
from training import presets, torchrun
from training.options import FootageRequest, TrainRequest
from training.process.work_folder import locked
from training.publishing.export import ExportBroken
from training.reporting.log_lines import PublishedVersion, read_line


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    path = tmp_path / "footage.mp4"
    path.write_bytes(b"footage")
    return path


def words(folder: Path, *more: str) -> list[str]:
    request = TrainRequest(
        footage=FootageRequest(files=[folder / "footage.mp4"]),
        actor="bar",
        preset="tiny",
        store_root=folder / "actors",
        work_root=folder / "work",
        consent="drawn by ourselves",
        publish_anyway=True,  # a network that small beats nothing
    )
    return [*more, *request.arguments()]


@pytest.fixture
def in_process(monkeypatch, fake_estimator, tmp_path):
    """The command in this process, with the tiny preset; undone afterwards."""
    monkeypatch.setitem(presets.PRESETS, "tiny", lambda: None)
    monkeypatch.setattr("training.preset_setup.prepare", lambda *given, **options: None)
    return tiny_command.main


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own, with both of its outputs in one pipe; it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.training.tiny_command", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_request_comes_back_from_its_own_command_line(monkeypatch, tmp_path):
    """What `dance train` was asked for is what the pod's command reads, whatever is in the words."""
    asked = TrainRequest(
        footage=FootageRequest(
            files=[Path("--odd name.mp4"), Path("-2.mp4")],
            keypoints=[Path("/a b"), Path("c")],
            frame_rate=1 / 3,
        ),
        actor="swan-2_b",
        preset="fine-512",
        minutes=12.5,
        pictures=1000,
        losses="smoothing",
        perceptual="random",
        adversarial="log",
        feature_matching="sum",
        vgg_weights=Path("/footage/vgg19.pth"),
        batch=4,
        compiled=True,
        start_from="goose",
        store_root=Path("/actors"),
        work_root=Path("/footage/work/swan"),
        seed=7,
        consent='--"$(HOME)" & größer',
        device="cuda",
        footage_anyway=True,
        publish_anyway=True,
    )
    seen: list[TrainRequest] = []

    def noted(request, should_stop):
        seen.append(request)
        return EXIT_PUBLISHED

    monkeypatch.setattr(command, "_trained", noted)
    assert command.run(asked.arguments()) == EXIT_PUBLISHED
    assert seen == [asked]


def test_training_publishes_and_says_so(in_process, footage, tmp_path, capsys):
    """Exit code 0, plain lines without a terminal, and the actor in the store."""
    assert in_process(words(tmp_path)) == EXIT_PUBLISHED
    said = capsys.readouterr().out
    assert ActorStore(tmp_path / "actors").load("bar").consent.words == "drawn by ourselves"
    assert f"bar version 1 is published in {tmp_path / 'actors' / 'bar' / '1'}, and new sessions get it" in said
    assert "\nbody 100.0 % | " in said
    assert "\x1b" not in said
    assert [read_line(line) for line in said.splitlines()].count(PublishedVersion("bar", 1)) == 2


@pytest.mark.timeout(300)  # two seconds of work, after imports that take long on a busy machine
def test_sigterm_writes_a_checkpoint_and_the_same_command_goes_on(footage, tmp_path):
    """Exit code 75, nothing published; the next process begins where the last one ended."""
    with running(*words(tmp_path, "--endless")) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("body ") and not line.startswith("body: "):
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait() == EXIT_INTERRUPTED, rest
    assert "a checkpoint was written; the same command goes on" in rest
    assert (tmp_path / "work" / "bar" / "body.pt").is_file()
    assert ActorStore(tmp_path / "actors").ids() == []


def test_sigterm_before_the_first_step_is_heard(in_process, footage, tmp_path, monkeypatch, capsys):
    """Whoever is asked to end while torch is still imported ends with 75 too."""
    real = command._trained

    def asked_early(request, should_stop):
        signal.raise_signal(signal.SIGTERM)
        return real(request, should_stop)

    monkeypatch.setattr(command, "_trained", asked_early)
    assert in_process(words(tmp_path)) == EXIT_INTERRUPTED
    assert "the same command goes on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--actor=../bar", "x.mp4"], "not an actor id"),
        (["--actor=bar"], "FOOTAGE"),
        (["--actor=bar", "--consent= ", "x.mp4"], "consent: cannot be blank"),
        (["--actor=bar", "--minutes=soon", "x.mp4"], "--minutes"),
        (["--actor=bar", "--preset=huge", "x.mp4"], "there is no preset 'huge'"),
        (["--actor=bar", "--minutes=-1", "x.mp4"], "--minutes: cannot be negative"),
        (["--actor=bar", "none.mp4"], "there is no file none.mp4"),
    ],
)
def test_what_no_retry_mends_is_42(arguments, message, tmp_path, monkeypatch, capsys):
    """Options and footage that are wrong are one line and exit code 42."""
    monkeypatch.chdir(tmp_path)
    assert command.run(["--consent=ours", *arguments]) == EXIT_FINAL
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


def test_a_busy_work_folder_is_worth_another_try(in_process, footage, tmp_path, capsys):
    """The pod before may not be gone yet: that is exit code 1, which is retried, and not 42."""
    with locked(tmp_path / "work"):
        assert in_process(words(tmp_path)) == EXIT_FAILED
    assert "another training is at work" in capsys.readouterr().err


def test_anything_else_is_1_with_its_traceback(in_process, footage, tmp_path, monkeypatch, capsys):
    """A disk that fails ends the attempt, not the Job; a log is all that is left of a pod, so it says where."""
    from training.loop import body_learner

    monkeypatch.setattr(body_learner.BodyLearner, "step", body_learner.BodyLearner.step)
    assert in_process(words(tmp_path, "--fail")) == EXIT_FAILED
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.splitlines()[-1] == "error: OSError: [Errno 5] Input/output error"


def test_a_full_disk_is_1_in_one_line(in_process, footage, tmp_path, monkeypatch, capsys):
    """It names the folder and the way out, and has no traceback."""
    from training.loop import body_learner

    monkeypatch.setattr(body_learner.BodyLearner, "step", body_learner.BodyLearner.step)
    assert in_process(words(tmp_path, "--full")) == EXIT_FAILED
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: the disk of {tmp_path / 'work' / 'bar'} is full; what was done is kept: free some")


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (BadInput("minutes", "none"), True),
        (UnreadableVideo("no video"), True),
        (NoBody("nobody"), True),
        (WorkFolderBusy("work", "busy"), False),
        (ExportBroken("differs"), False),
        (StageTimeout("pose", None, "silent"), False),
        (DanceError("something"), False),
        (OSError("disk full"), False),
    ],
)
def test_errors_are_sorted(error, final):
    """Only what the request itself is at fault for is final."""
    assert is_final(error) is final


@pytest.mark.parametrize(
    ("codes", "code"),
    [([42, 1], EXIT_FINAL), ([1, 75], EXIT_INTERRUPTED), ([75, 42], EXIT_FINAL), ([-9, 1], EXIT_FAILED)],
)
def test_several_processes_end_as_the_one_who_knows_why(codes, code):
    """A lost peer makes the others fail with 1; the reason is what the first one said."""
    assert torchrun.together(codes) == code


def test_processes_have_nearly_all_of_the_pods_time(monkeypatch, root):
    """torchrun kills them shortly before the pod ends, and not after its own 30 seconds, unless told another time."""
    from torch.distributed.run import config_from_args, parse_args

    seconds = []

    def noted(arguments):
        config, _, _ = config_from_args(parse_args(arguments))
        seconds.append(config.shutdown_timeout)

    monkeypatch.setattr(torchrun, "torchrun", noted)
    monkeypatch.setattr(os, "environ", {"PATH": os.environ["PATH"]})
    assert torchrun.run(["-m", "training"]) == EXIT_PUBLISHED
    assert torchrun.run(["--shutdown-timeout=7", "-m", "training"]) == EXIT_PUBLISHED
    assert seconds == [torchrun.SHUTDOWN_SECONDS, 7]
    manifests = [yaml.safe_load(path.read_text()) for path in (root / "deploy" / "jobs").glob("train*.yaml")]
    assert manifests
    for manifest in manifests:
        pod_seconds = manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert pod_seconds - 20 <= torchrun.SHUTDOWN_SECONDS < pod_seconds


def test_torchrun_claims_no_checkpoint(monkeypatch, capsys):
    """It cannot know whether its processes came to write one."""

    def signalled(arguments):
        raise SignalException("asked to end", signal.SIGTERM)

    monkeypatch.setattr(torchrun, "torchrun", signalled)
    monkeypatch.setenv("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "1")
    assert torchrun.run(["-m", "training"]) == EXIT_INTERRUPTED
    said = capsys.readouterr().out
    assert said == "interrupted by signal 15; the same command goes on from the newest checkpoint\n"
