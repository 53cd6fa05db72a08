"""One short folder of links, so that Triton never meets the names of the user's own folders.

Triton starts the process of each model by an unquoted `bash -c`, and the Python in it knows ASCII file names only,
whatever the locale. A space or an umlaut in the folder of actors, of the checkout, of the virtual environment or for
temporary files would keep every actor from loading. Below the folder of links every path is plain.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from services.generator.triton.leftovers import SOCKET_FOLDER_BYTES, places, plain_folder


class Links:
    """A folder of links that only this user can enter; `remove` it at the end.

    among: folders in which it may lie; the first one serves whose path is plain and that can be written. Raises
    BadSettings where there is none.
    """

    def __init__(self, among: Sequence[Path] | None = None) -> None:
        self._private = plain_folder("triton", among=places() if among is None else among)
        self.folder = self._private.path

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
        self._private.remove()


def check_place() -> Path:
    """Where a folder of links would be made. Raises BadSettings where there is no place for one, or for a socket."""
    plain_folder("socket", SOCKET_FOLDER_BYTES).remove()
    links = Links()
    links.remove()
    return links.folder.parent
