"""`dance detect`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from client.errors import UsageError
from client.terminal.display import Display
from motion.frame import Picture
from provenance.detector.judge import Detector, Finding, Verdict
from serving.process.stop_signals import stop_on_signals
from video.opening import is_endless
from video.reader import VideoReader

EXIT_CODES: Final = {Verdict.REAL: 0, Verdict.SYNTHETIC: 3, Verdict.UNKNOWN: 4}
_JSON_NAMES: Final = {Verdict.REAL: "real", Verdict.SYNTHETIC: "synthetic", Verdict.UNKNOWN: "unknown"}


def detect_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A video file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the finding as JSON.")] = False,
) -> None:
    """Say whether a clip looks drawn by this project or filmed. A forensic aid, not proof.

    Exit code 0: looks real. 3: looks synthetic. 4: cannot tell. 1 and 2: the clip or the command line is wrong.
    """
    display = Display()
    if is_endless(file):
        raise UsageError(f"{file} is a camera or a stream: a whole clip is needed")
    found, notes = _judged(file, display)
    display.source_notes(file, notes)
    if as_json:
        print(json.dumps(_facts(file, found)))
    else:
        display.out.print(Text(_words(file, found)))
    raise typer.Exit(EXIT_CODES[found.verdict])


def _judged(file: str, display: Display) -> tuple[Finding, tuple[str, ...]]:
    """Judge the whole file; also return what its owner should know about how it was read."""
    detector = Detector()
    with stop_on_signals() as should_stop, VideoReader(file) as reader:
        with display.progress("looking", reader.expected_frames) as line:

            def pictures() -> Iterator[Picture]:
                for frame in reader.frames():
                    if should_stop():
                        raise KeyboardInterrupt
                    line.advance()
                    yield frame.pixels

            found = detector.judge(pictures())
        lost = (f"{reader.lost_frames} frames do not decode",) if reader.lost_frames else ()
        return found, (*reader.notes, *lost)


def _facts(file: str, found: Finding) -> dict[str, Any]:
    return {
        "file": file,
        "verdict": _JSON_NAMES[found.verdict],
        "score": found.score,
        "pairs": found.pairs,
        "reason": found.reason,
        "limits": list(found.limits),
    }


def _words(file: str, found: Finding) -> str:
    score = "" if found.score is None else f"score {found.score:.2f} from {found.pairs} pairs; "
    return "\n".join([f"{file}: {found.verdict.value} ({score}{found.reason})", *found.limits])
