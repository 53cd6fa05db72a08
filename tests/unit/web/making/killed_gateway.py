"""`python -m tests.unit.web.making.killed_gateway FOLDER`: the makings of a gateway that trains until it is killed.

In place of a training runs a program that says a line and waits. Then this one prints the making's id. When the
training is asked to end, it writes a byte into the pipe `FOLDER/ended`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from client.training.unattended import TrainingLog, UnattendedTraining
from tests.unit.web.making.conftest import CONSENT, jpeg
from web.access.visitors import Visitor
from web.making.makings import makings_of
from web.settings import WebSettings

_WAITS = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path(sys.argv[1]).write_bytes(b'.'), sys.exit(75)))
print("body 1.0 % | 1 pictures done", flush=True)
signal.pause()
"""
VISITOR = Visitor("ab" * 16, "address:127.0.0.1")


def settings_in(folder: Path) -> WebSettings:
    """The settings of both gateways, the one that is killed and the one that goes on."""
    return WebSettings(makes_actors=True, data_folder=folder, making_actors=folder / "actors", disk_kept_bytes=0)


async def main(folder: Path) -> None:
    """Start a training, say so, and wait for the kill."""
    command = (sys.executable, "-c", _WAITS, str(folder / "ended"))
    heard = asyncio.Event()
    setattr(UnattendedTraining, "command", lambda self: command)  # noqa: B010
    setattr(TrainingLog, "line", lambda self, text: heard.set())  # noqa: B010
    async with makings_of(settings_in(folder)) as makings:
        making = makings.begin(VISITOR, "Anna", delete_footage=True)
        with await makings.filming(VISITOR, making.record.id) as filming:
            for index in range(30):
                filming.append(jpeg(index), index / 15, "front")
        makings.agree(making, **CONSENT)
        makings.start(making)
        await heard.wait()
        print(making.record.id, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
