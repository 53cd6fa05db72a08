"""Find the parts of Triton in the nvidia-pytriton wheel, and arrange them the way Triton expects.

All dependencies are checked before the process starts; an error names what is missing and how to install it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from grpc import StatusCode

from serving.errors import DanceError


class TritonMissing(DanceError):
    """A dependency of Triton is not installed; the message names it and how to install it."""

    code = StatusCode.FAILED_PRECONDITION


@dataclass(frozen=True, kw_only=True, slots=True)
class TritonInstall:
    """The parts of Triton in this Python's site-packages.

    library_folders: colon-separated; the dynamic loader searches them before the system's.
    """

    server: Path
    backend_library: Path
    backend_utilities: Path
    stub: Path
    library_folders: str

    @classmethod
    def find(cls) -> TritonInstall:
        """Locate every part and the shared libraries they need. Raises TritonMissing."""
        spec = importlib.util.find_spec("pytriton")
        if spec is None or spec.origin is None:
            raise TritonMissing(
                "Triton is not installed in this Python: `pip install nvidia-pytriton==0.7.0 'setuptools<81'`, "
                "or set GENERATOR_TRITON_ADDRESS to a Triton that runs elsewhere"
            )
        home = Path(spec.origin).parent / "tritonserver"
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        install = cls(
            server=home / "bin" / "tritonserver",
            backend_library=home / "backends" / "python" / "libtriton_python.so",
            backend_utilities=home / "backends" / "python" / "triton_python_backend_utils.py",
            stub=home / "python_backend_stubs" / python / "triton_python_backend_stub",
            library_folders=joined(library_folder(), os.environ.get("LD_LIBRARY_PATH")),
        )
        for piece in (install.server, install.backend_library, install.backend_utilities, install.stub):
            if not piece.is_file():
                raise TritonMissing(
                    f"the nvidia-pytriton wheel has no {piece.relative_to(home)} for Python {python}: "
                    "`pip install --force-reinstall nvidia-pytriton==0.7.0`"
                )
        for binary in (install.server, install.backend_library, install.stub):
            missing = _missing_libraries(binary, install.library_folders)
            if missing:
                raise TritonMissing(f"{binary.name} needs {', '.join(missing)}: {_how_to_install(missing)}")
        return install

    @property
    def stub_libraries(self) -> Path:
        """The wheel's libraries that the stub needs; a copy of the stub does not find them by itself."""
        return self.stub.parents[4] / "nvidia_pytriton.libs"

    def lay_out(self, backends: Path) -> None:
        """Create Triton's backend directory, because the wheel has the stub where the backend does not look.

        Raises TritonMissing if the stub cannot be read.
        """
        folder = backends / "python"
        folder.mkdir(parents=True)
        for piece in (self.backend_library, self.backend_utilities):
            (folder / piece.name).symlink_to(piece.absolute())
        # A copy, because Triton makes it executable for its owner only, which would break it for all other users.
        stub = folder / self.stub.name
        try:
            shutil.copyfile(self.stub, stub)
        except OSError as error:
            raise TritonMissing(
                f"{self.stub} cannot be read ({error.strerror}): `chmod a+rx` it as the user who installed it"
            ) from error
        stub.chmod(0o700)


def library_folder() -> str | None:
    """Return the folder of this Python's shared library, which the stub needs; None if the loader finds it itself."""
    folder = sysconfig.get_config_var("LIBDIR")
    name = sysconfig.get_config_var("INSTSONAME")
    return str(folder) if folder and name and (Path(folder) / name).exists() else None


def joined(*folders: Path | str | None) -> str:
    """Join the folders that are not None or empty into a search path."""
    return ":".join(str(folder) for folder in folders if folder)


def _missing_libraries(binary: Path, library_folders: str) -> list[str]:
    environment = {**os.environ, "LD_LIBRARY_PATH": library_folders, "LC_ALL": "C"}
    found = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, env=environment, check=False)
    if found.returncode != 0:
        raise TritonMissing(f"{binary} cannot run here: {(found.stderr or found.stdout).strip()}")
    return [line.split()[0] for line in found.stdout.splitlines() if line.rstrip().endswith("not found")]


def _how_to_install(missing: list[str]) -> str:
    packages = [name.split(".so")[0] for name in missing if name.startswith("libpython")]
    if len(packages) == len(missing):
        return f"`apt-get install {' '.join(packages)}`"
    return "install the system packages that contain them"
