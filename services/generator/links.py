"""One short folder of links, so that Triton never meets the names of the user's own folders.

Triton starts the process of each model by an unquoted `bash -c`, and the Python in it knows ASCII file names only,
whatever the locale. A space or an umlaut in the folder of actors, of the checkout, of the virtual environment or for
temporary files would keep every actor from loading. Below the folder of links every path is plain.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.generator.leftovers import folder_prefix, places
from serving.errors import BadSettings

_PLAIN: Final = re.compile(r"/[A-Za-z0-9._/-]*")
_LONGEST: Final = 200
"""Triton makes longer paths below it, and those must stay below Linux's 4096 and file systems' own limits."""


def is_plain(path: Path) -> bool:
    """Whether Triton can be given a path: short, absolute, of letters, digits and `._-/`, all of them ASCII."""
    return len(str(path)) <= _LONGEST and _PLAIN.fullmatch(str(path)) is not None


class Links:
    """A folder of links that only this user can enter; `remove` it at the end.

    among: folders in which it may lie; the first one serves whose path is plain and that can be written. Raises
    BadSettings where there is none.
    """

    def __init__(self, among: Sequence[Path] | None = None) -> None:
        self.folder = _made(places() if among is None else among)

    def to(self, target: Path, *name: str) -> Path:
        """A plain path that leads to `target`, which need not exist yet: `name` below the folder of links."""
        link = self.folder.joinpath(*name)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target.absolute())
        return link

    def python(self) -> Path:
        """The `bin` folder of an interpreter that imports what this one imports.

        It is a virtual environment of links. The one that runs here would not do: files like the one that names the
        checkout are read in ASCII there, and a single letter beyond it ends the interpreter.
        """
        home = self.folder / "python"
        self.to(Path(sys.executable), "python", "bin", "python3")
        base = self.to(Path(sys.base_prefix), "base")
        (home / "pyvenv.cfg").write_text(f"home = {base}/bin\ninclude-system-site-packages = false\n")
        site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        site.mkdir(parents=True)
        found = [Path(entry or os.curdir) for entry in sys.path if Path(entry or os.curdir).exists()]
        linked = [self.to(entry, "path", str(number)) for number, entry in enumerate(found)]
        (site / "dance.pth").write_text("".join(f"{entry}\n" for entry in linked))
        return home / "bin"

    def remove(self) -> None:
        """Removes the links, and nothing that they lead to."""
        shutil.rmtree(self.folder, ignore_errors=True)


def check_place() -> Path:
    """Where a folder of links would be made. Raises BadSettings where there is no place for one."""
    links = Links()
    links.remove()
    return links.folder.parent


def _made(among: Sequence[Path]) -> Path:
    reasons: dict[Path, str] = {}
    for place in among:
        if place in reasons:
            continue
        if not is_plain(place):
            reasons[place] = f"is longer than {_LONGEST} letters" if len(str(place)) > _LONGEST else "is not plain"
            continue
        try:
            folder = Path(tempfile.mkdtemp(prefix=folder_prefix("triton"), dir=place))  # 0700, whatever the umask
        except OSError as error:
            reasons[place] = error.strerror or str(error)
            continue
        return folder
    tried = ", ".join(f"{place} ({reason})" for place, reason in reasons.items())
    raise BadSettings(
        "TMPDIR",
        f"Triton needs a folder that can be written and whose path is plain: at most {_LONGEST} of A-Z, a-z, 0-9, '.', "
        f"'_', '-' and '/'. None of these will do: {tried}. Set TMPDIR to one that does",
    )
