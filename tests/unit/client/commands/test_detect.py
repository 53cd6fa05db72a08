"""`dance detect`: its words, its JSON and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from client.__main__ import run
from client.commands import detect
from motion.frame import Picture
from provenance.detector.judge import FEWEST_PAIRS, LIMITS, Finding, finding


class FakeDetector:
    """Gives every pair the same score."""

    score = 0.0

    def judge(self, pictures: Iterable[Picture]) -> Finding:
        return finding([self.score] * (len(list(pictures)) - 1))


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch):
    """Make every pair score this."""
    monkeypatch.setattr(detect, "Detector", FakeDetector)
    return lambda score: monkeypatch.setattr(FakeDetector, "score", score)


@pytest.mark.parametrize(
    ("score", "code", "words", "name"),
    [(0.04, 0, "looks real", "real"), (0.9, 3, "looks synthetic", "synthetic"), (0.2, 4, "cannot tell", "unknown")],
)
def test_the_verdict_is_told_in_words_in_json_and_by_the_exit_code(
    scored, make_video, capsys, score, code, words, name
):
    """All three agree, and both outputs say what cannot be known."""
    scored(score)
    clip = str(make_video(frames=20))
    assert run(["detect", clip]) == code
    told = capsys.readouterr().out
    assert f"{clip}: {words} (score {score:.2f} from 19 pairs" in told
    assert all(limit in told for limit in LIMITS)
    assert run(["detect", clip, "--json"]) == code
    facts = json.loads(capsys.readouterr().out)
    assert (facts["file"], facts["verdict"], facts["pairs"]) == (clip, name, 19)
    assert facts["score"] == pytest.approx(score)
    assert facts["limits"] == list(LIMITS)


def test_a_short_clip_is_not_judged(make_video, capsys):
    """The shipped detector says how many pairs it takes."""
    assert run(["detect", str(make_video(frames=4))]) == 4
    assert "cannot tell (score" in (told := capsys.readouterr().out)
    assert f"it takes {FEWEST_PAIRS}" in told


def test_what_is_no_video_is_told_in_one_line(tmp_path, capsys):
    """A missing file, a text and a camera are errors, not verdicts."""
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    for source, code in ((str(tmp_path / "none.mp4"), 1), (str(text), 1), ("rtsp://camera/", 2)):
        assert run(["detect", source]) == code
        told = capsys.readouterr().err
        assert told.startswith("error: ")
        assert told.count("\n") == 1
    assert run(["detect"]) == 2
