"""The spool loses nothing that was appended, whatever a killed process left at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from web.dances.dancing import ANSWER, END, recover
from web.dances.progress import Progress
from web.dances.spool import Spool, SpoolRecord, cut, records


def written(path: Path, *heads: dict[str, object], checkpoint_at: int = -1) -> None:
    with Spool(path) as spool:
        for index, head in enumerate(heads):
            spool.append(SpoolRecord(head, (b"picture", b"", b"seal" if index == checkpoint_at else b"")))


def answer(sequence: int, no_picture: str = "", *remarks: str) -> dict[str, object]:
    return {"kind": ANSWER, "sequence": sequence, "no_picture": no_picture, "remarks": list(remarks)}


@pytest.mark.parametrize("lost_bytes", [1, 8, 30])
def test_torn_record_is_left_out(tmp_path: Path, lost_bytes: int) -> None:
    """However much of the last record is missing; what is appended after a cut can be read again."""
    path = tmp_path / "spool"
    written(path, {"kind": "a"}, {"kind": "b"}, {"kind": "c"})
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    found = list(records(path))
    assert [record.head["kind"] for record, _ in found] == ["a", "b"]
    cut(path, found[-1][1])
    written(path, {"kind": "d"})
    assert [record.head["kind"] for record, _ in records(path)] == ["a", "b", "d"]
    assert next(records(path))[0].parts == (b"picture", b"", b"")


def test_damaged_record_ends_the_spool(tmp_path: Path) -> None:
    """A changed byte is noticed, and nothing after it is believed."""
    path = tmp_path / "spool"
    written(path, {"kind": "a"}, {"kind": "b"})
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    assert [record.head["kind"] for record, _ in records(path)] == ["a"]
    assert list(records(tmp_path / "none")) == []


def test_spool_goes_on_behind_its_last_checkpoint(tmp_path: Path) -> None:
    """Answers after it are cut off, since they will come again; what is left is counted."""
    path, progress = tmp_path / "spool", Progress()
    written(path, answer(0), answer(1, "no_person"), answer(2, "", "no face"), answer(3), checkpoint_at=2)
    begun = recover(path, progress)
    assert (begun.next_sequence, begun.checkpoint, begun.ended) == (3, b"seal", False)
    assert [record.head["sequence"] for record, _ in records(path)] == [0, 1, 2]
    assert (progress.done, progress.pictures) == (3, 2)
    assert progress.remarks == {"no_person": 1, "no face": 1}


def test_spool_without_a_checkpoint_begins_again(tmp_path: Path) -> None:
    """Nothing of it can be used, so it is emptied."""
    path = tmp_path / "spool"
    written(path, answer(0), answer(1))
    assert recover(path, Progress()).next_sequence == 0
    assert path.read_bytes() == b""
    assert recover(tmp_path / "none", Progress()).next_sequence == 0


def test_complete_spool_needs_no_server(tmp_path: Path) -> None:
    """Once the end was written, all answers stay, also those after the last checkpoint."""
    path = tmp_path / "spool"
    written(path, answer(0), answer(1), {"kind": END}, checkpoint_at=0)
    assert recover(path, Progress()).ended
    assert len(list(records(path))) == 3
