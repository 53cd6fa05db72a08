"""`dance train`, with the real job replaced."""

from __future__ import annotations

import importlib
import io
import signal
from types import SimpleNamespace

import pytest

from client.__main__ import run

SCORES = {
    "held_out": {"frames": 32, "body_ssim": 0.7986, "body_psnr_db": 22.41, "face_ssim": 0.7308, "sharpness": 0.958},
    "pose_distance": {"frames": 32, "frames_with_a_pose": 32, "distance": 0.04},
    "nearest_training_frame": {"frames": 32, "body_ssim": 0.6271, "body_psnr_db": 17.99, "face_ssim": None},
    "grey_figure": {"frames": 32, "body_ssim": 0.6744, "body_psnr_db": 17.56, "face_ssim": 0.2459},
    "pose_distance_floor": {"frames": 32, "frames_with_a_pose": 32, "distance": 0.0202},
    "unseen_poses": {"poses": 12, "found": 12, "distance": 0.055, "missed": 0.0},
    "flicker": {"levels": 3.85, "real_levels": 3.01, "ratio": 1.279},
}


@pytest.fixture
def job(monkeypatch):
    """Replace the training job; the list of the settings it was called with."""
    module = pytest.importorskip("training.job")
    trainer = pytest.importorskip("training.loop.trainer")
    seen: list[object] = []

    def pretend(settings, on_progress, should_stop):
        seen.append(settings)
        on_progress(module.Progress(phase="body", part=0.5, done=40, pictures_per_second=2.0, losses={"l1": 0.25}))
        on_progress(module.Progress(phase="body", part=1.0, note="held-out body SSIM 0.5"))
        if settings.seed == 13:
            raise trainer.TrainingStopped("stopped")
        folder = settings.store_root / settings.actor / "3"
        return SimpleNamespace(id=settings.actor, version=3, folder=folder, scores=SCORES)

    monkeypatch.setattr(module, "train_actor", pretend)
    return seen


def test_training_is_told_what_was_asked(job, make_video, tmp_path, capsys):
    """Options reach the job, its notes reach the user, and the last line names what was published."""
    command = ["train", str(make_video()), "--actor", "swan", "--minutes", "2.5", "--actors", str(tmp_path)]
    assert run([*command, "--consent", "drawn by ourselves"]) == 0
    (settings,) = job
    assert (settings.actor, settings.minutes, settings.preset.name) == ("swan", 2.5, "quick-512")
    assert settings.consent == "drawn by ourselves"
    said = capsys.readouterr()
    assert "body: held-out body SSIM 0.5" in said.err
    assert "swan version 3 is published" in said.out


def test_scores_are_told_beside_what_they_must_beat(job, make_video, tmp_path, capsys):
    """The final table has a row for the actor, each baseline and the poses' floor; the path of a picture follows."""
    command = ["train", str(make_video()), "--actor", "swan", "--actors", str(tmp_path), "--work", str(tmp_path / "w")]
    assert run([*command, "--consent", "drawn"]) == 0
    said = capsys.readouterr().out
    assert "32 held-out frames" in said
    rows = {cells[0]: cells[1:] for line in said.splitlines() if (cells := [c.strip() for c in line.split("│")[1:-1]])}
    assert rows["the actor"] == ["0.96", "0.799", "0.731", "0.040", "0.055", "1.28"]
    assert rows["nearest training frame"] == ["", "0.627", "", "", "", ""]
    assert rows["grey figure"] == ["", "0.674", "0.246", "", "", ""]
    assert rows["the footage itself"] == ["", "", "", "0.020", "", ""]
    assert f"drawn beside the truth: {tmp_path / 'w' / 'swan' / 'preview.png'}" in said


def test_a_single_frame_is_counted_in_the_singular(job, make_video, tmp_path, capsys, monkeypatch):
    """Of a second of footage, one frame is held out."""
    monkeypatch.setitem(SCORES, "held_out", {"frames": 1, "body_ssim": 0.7})
    assert run(["train", str(make_video()), "--actor", "swan", "--actors", str(tmp_path), "--consent", "drawn"]) == 0
    assert "1 held-out frame\n" in "\n".join(line.strip() for line in capsys.readouterr().out.split("\n"))


def test_stopped_training_says_how_to_go_on(job, make_video, capsys):
    """Ctrl-C ends with exit code 130; nothing is lost."""
    assert run(["train", str(make_video()), "--actor", "swan", "--consent", "drawn", "--seed", "13"]) == 130
    assert "error: training stopped; the same command continues it" in capsys.readouterr().err


def test_training_that_the_system_stopped_has_a_code_of_its_own(job, make_video, monkeypatch, capsys):
    """SIGTERM ends with exit code 75, so a scheduler starts the same command again."""

    def stopped(settings, on_progress, should_stop):
        signal.raise_signal(signal.SIGTERM)
        assert should_stop()
        raise importlib.import_module("training.loop.trainer").TrainingStopped("stopped")

    monkeypatch.setattr("training.job.train_actor", stopped)
    assert run(["train", str(make_video()), "--actor", "swan", "--consent", "drawn"]) == 75
    assert "the same command continues it" in capsys.readouterr().err


def test_only_the_first_of_several_processes_speaks(job, make_video, monkeypatch, capsys):
    """Under torchrun, the other processes train without printing."""
    monkeypatch.setenv("RANK", "1")
    assert run(["train", str(make_video()), "--actor", "swan", "--consent", "drawn"]) == 0
    assert capsys.readouterr().out == ""


def test_recipe_options_reach_the_job(job, make_video, tmp_path):
    """All kinds of losses, batch, frames, compiling and another actor's weights reach the job."""
    more = "--losses smoothing --perceptual random --adversarial log --feature-matching sum --preset paper-512 "
    more += "--batch 2 --frames 100 --compile --from juggler"
    assert run(["train", str(make_video()), "--actor", "swan", "--consent", "drawn", *more.split()]) == 0
    (settings,) = job
    recipe = settings.recipe
    assert (recipe.losses, recipe.perceptual, recipe.adversarial) == ("smoothing", "random", "log")
    assert recipe.feature_matching == "sum"
    assert (settings.batch, settings.pictures, settings.minutes) == (2, 100, None)
    assert (settings.compiled, settings.start_from) == (True, "juggler")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--preset", "huge"], "there is no preset 'huge'"),
        (["--minutes", "-1"], "--minutes: cannot be negative"),
        (["--losses", "none"], "pix2pixhd, smoothing, smoothing-face"),
        (["--adversarial", "none"], "least-squares, log"),
        (["--feature-matching", "average"], "mean, sum"),
        (["--vgg-weights", "x.pth"], "vgg-weights"),
    ],
)
def test_training_that_makes_no_sense_is_refused(job, make_video, capsys, more, words):
    """Each error is one line."""
    assert run(["train", str(make_video()), "--actor", "swan", "--consent", "drawn", *more]) == 1
    assert words in capsys.readouterr().err


def test_footage_that_is_no_video_is_refused(job, tmp_path, capsys):
    """A bad file is reported before training starts."""
    assert run(["train", str(tmp_path / "none.mp4"), "--actor", "swan", "--consent", "drawn"]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert job == []


def test_blank_consent_is_refused(job, make_video, capsys):
    """Blank text is not a consent."""
    assert run(["train", str(make_video()), "--actor", "swan", "--consent", "  "]) == 1
    assert "cannot be blank" in capsys.readouterr().err
    assert job == []


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_script_without_consent_is_refused(job, make_video, capsys, monkeypatch):
    """Without a person to ask, the error says what to give; wrong options are told first."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run(["train", str(make_video()), "--actor", "swan"]) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: --consent is required: --consent "who, when, to what", or --consent FILE.json')
    assert run(["train", str(make_video()), "--actor", "swan", "--minutes", "-1"]) == 1
    assert capsys.readouterr().err == "error: --minutes: cannot be negative, got -1.0\n"
    assert job == []


def test_a_consent_that_is_not_stated_is_possible_and_warned_of(job, make_video, capsys):
    """Such an actor is for this machine alone."""
    assert run(["train", str(make_video()), "--actor", "swan", "--consent", "not stated"]) == 0
    (settings,) = job
    assert not settings.consent_record.is_stated
    assert "the consent is not stated: a server that other machines can reach will refuse" in capsys.readouterr().err


def test_a_terminal_is_asked_for_consent(job, make_video, monkeypatch, capsys):
    """Who, to what, and until when; a date that is none is asked again."""
    monkeypatch.setattr("sys.stdin", _Terminal("Anna K.\nto dancing\nsoon\n2099-12-31\n"))
    assert run(["train", str(make_video()), "--actor", "swan", "--consent-by", "jo"]) == 0
    (settings,) = job
    record = settings.consent_record
    assert record.text == "Anna K.: to dancing (until 2099-12-31)"
    assert record.recorded_by == "jo"
    assert "expected a date such as 2027-12-31, got 'soon'" in capsys.readouterr().err


def test_a_terminal_takes_no_person_without_a_consent(job, make_video, monkeypatch, capsys):
    """These would make an actor that looks as if somebody had agreed."""
    monkeypatch.setattr("sys.stdin", _Terminal("Ann\nnot stated\n2099-12-31\n"))
    assert run(["train", str(make_video()), "--actor", "swan"]) == 1
    assert "--consent: is 'not stated', which goes with no person, use or date" in capsys.readouterr().err
    assert job == []


def test_an_empty_answer_to_until_means_no_end(job, make_video, monkeypatch):
    """An end that the command names is not asked for."""
    monkeypatch.setattr("sys.stdin", _Terminal("Anna K.\nto dancing\n\n"))
    assert run(["train", str(make_video()), "--actor", "swan"]) == 0
    monkeypatch.setattr("sys.stdin", _Terminal("Anna K.\nto dancing\n"))
    assert run(["train", str(make_video()), "--actor", "swan", "--consent-until", "2099-12-31"]) == 0
    assert [str(settings.consent_record.until) for settings in job] == ["None", "2099-12-31"]
