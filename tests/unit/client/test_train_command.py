"""`dance train`, with a small job in the place of the real one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from client.__main__ import run


@pytest.fixture
def job(monkeypatch):
    """Replaces the training job; gives the settings that it was called with."""
    module = pytest.importorskip("training.job")
    trainer = pytest.importorskip("training.trainer")
    seen: list[object] = []

    def pretend(settings, on_progress, should_stop):
        seen.append(settings)
        on_progress(module.Progress(phase="body", part=0.5, done=40, pictures_per_second=2.0, losses={"l1": 0.25}))
        on_progress(module.Progress(phase="body", part=1.0, note="held-out body SSIM 0.5"))
        if settings.seed == 13:
            raise trainer.TrainingStopped("stopped")
        return SimpleNamespace(id=settings.actor, version=3, folder=settings.store_root / settings.actor / "3")

    monkeypatch.setattr(module, "train_actor", pretend)
    return seen


def test_training_is_told_what_was_asked(job, make_video, tmp_path, capsys):
    """Options reach the job, its notes the user, and the end says what was published."""
    command = ["train", str(make_video()), "--actor", "swan", "--minutes", "2.5", "--actors", str(tmp_path)]
    assert run([*command, "--consent", "drawn by ourselves"]) == 0
    (settings,) = job
    assert (settings.actor, settings.minutes, settings.preset.name) == ("swan", 2.5, "slim-256")
    assert settings.consent == "drawn by ourselves"
    said = capsys.readouterr()
    assert "body: held-out body SSIM 0.5" in said.err
    assert "published swan version 3" in said.out


def test_stopped_training_says_how_to_go_on(job, make_video, capsys):
    """Ctrl-C is exit code 130; nothing is lost."""
    assert run(["train", str(make_video()), "--actor", "swan", "--seed", "13"]) == 130
    assert "error: training stopped; the same command goes on where it was" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [(["--preset", "huge"], "there is no preset 'huge'"), (["--minutes", "-1"], "minutes: must be positive")],
)
def test_training_that_makes_no_sense_is_refused(job, make_video, capsys, more, words):
    """An unknown preset and a negative time are one line each."""
    assert run(["train", str(make_video()), "--actor", "swan", *more]) == 1
    assert words in capsys.readouterr().err


def test_footage_that_is_no_video_is_refused(job, tmp_path, capsys):
    """A bad file is told before torch is asked to do anything."""
    assert run(["train", str(tmp_path / "none.mp4"), "--actor", "swan"]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert job == []
