"""A short folder of symbolic links, so that Triton never sees the names of the user's own folders.

Triton starts each model's process with an unquoted `bash -c`, and the Python in it supports only ASCII file names,
whatever the locale. A space or an umlaut in the path of the actors, the checkout, the virtual environment or the
temporary files would keep every actor from loading. Below the folder of links every path is plain.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from services.generator.triton.leftovers import SOCKET_FOLDER_BYTES, plain_folder


class Links:
    """A folder of links that only this user can enter; `remove` it at the end.

    among: the parent folders to try; the first one that is writable and has a plain path is used. Raises BadSettings
    if there is none.
    """

    def __init__(self, among: Sequence[Path] | None = None) -> None:
        self._private = plain_folder("triton", among=among)
        self.folder = self._private.path

    def to(self, target: Path, *name: str) -> Path:
        """Link `name` in the folder of links to `target`, which need not exist yet. Returns the link's plain path."""
        link = self.folder.joinpath(*name)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target.absolute())
        return link

    def python(self) -> Path:
        """Create a virtual environment of links with this one's import path; returns its `bin` folder.

        The running environment cannot be used itself: the stub's interpreter reads `.pth` files, such as the one that
        names the checkout, as ASCII, and exits at the first other character.
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
        """Remove the links, but not their targets."""
        self._private.remove()


def check_place() -> Path:
    """Return where a folder of links would be created. Raises BadSettings without a place for it or for a socket."""
    plain_folder("socket", SOCKET_FOLDER_BYTES).remove()
    links = Links()
    links.remove()
    return links.folder.parent
