"""Trainings in real processes, which are really killed and really communicate."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

# A dozen processes, one after the other; they take seconds, and minutes where others keep the cores busy.
pytestmark = pytest.mark.timeout(300)

SCRIPT = Path(__file__).with_name("processes.py")


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """The folder of all trainings; the script checks how its processes end."""
    folder = tmp_path_factory.mktemp("processes")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)],
        cwd=root, env={"PYTHONPATH": str(root), "OMP_WAIT_POLICY": "PASSIVE", "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def curve(path):
    """Every row of a curve as written, without its clock."""
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_killed_training_draws_the_same_curve_to_the_last_bit(trained):
    """kill -9 and SIGTERM in every stage, within a step, during a checkpoint and far from one: each loss and each rate
    equals that of an uninterrupted training."""
    for stage, steps in (("coarse", 2), ("body", 6), ("face", 16)):
        whole, broken = (curve(trained / kind / "bar" / f"{stage}-losses.csv") for kind in ("whole", "broken"))
        assert len(whole) == steps
        assert broken == whole
    assert not list(trained.rglob("*.partial*"))


@pytest.mark.parametrize("preset", ["", "copying"])
def test_two_processes_train_as_one_with_twice_the_batch(trained, preset):
    """Two processes over gloo, stopped in between by one of them, have the losses of one process with a batch of two.
    Their weights are bit-identical, and only rank 0 writes. Steps on made-up poses are the same ones in both."""
    place = trained / preset
    one, both = (curve(place / kind / "body-losses.csv") for kind in ("one", "both"))
    assert [row["pictures"] for row in both] == ["4", "8", "12", "16"]
    assert len(one) == 4
    for expected, found in zip(one, both, strict=True):
        for name, value in expected.items():
            assert float(found[name] or -1) == pytest.approx(float(value or -1), rel=2e-3), name
    assert any(row["judge"] == "" for row in one) == bool(preset)
    assert (place / "both" / "weights-0").read_bytes() == (place / "both" / "weights-1").read_bytes()
    assert (place / "both" / "written-by-0").read_text() == "True"
    assert (place / "both" / "written-by-1").read_text() == "False"


def test_only_the_first_process_writes(trained):
    """In a job of two processes, rank 1 does not write to the work folder, but reads what rank 0 prepared and drew."""
    first, second = ((trained / "job" / f"wrote-{rank}").read_text().splitlines() for rank in (0, 1))
    assert {"frames.csv", "body.pt", "face.pt"} <= {name.rsplit("/", 1)[-1] for name in first}
    assert second == []
