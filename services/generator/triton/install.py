"""Finds the pieces of a Triton in the nvidia-pytriton wheel, and lays them out as Triton wants them.

Everything that the process needs is found before it starts, and named with what to install when it is missing.
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
    """Something that Triton needs is not installed; the message names it and what to install."""

    code = StatusCode.FAILED_PRECONDITION


@dataclass(frozen=True, kw_only=True, slots=True)
class TritonInstall:
    """The pieces of Triton in this Python's site-packages.

    library_folders: searched by the dynamic loader before the system's own, colon-separated.
    """

    server: Path
    backend_library: Path
    backend_utilities: Path
    stub: Path
    library_folders: str

    @classmethod
    def find(cls) -> TritonInstall:
        """Looks for every piece, and for the shared libraries that they need. Raises TritonMissing."""
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
        """What the stub needs of the wheel; a copy of it does not find them itself."""
        return self.stub.parents[4] / "nvidia_pytriton.libs"

    def lay_out(self, backends: Path) -> None:
        """Makes the backend directory that Triton is given: the stub is not where the backend looks for it.

        Raises TritonMissing where the stub may not be read.
        """
        folder = backends / "python"
        folder.mkdir(parents=True)
        for piece in (self.backend_library, self.backend_utilities):
            (folder / piece.name).symlink_to(piece.absolute())
        # A copy: Triton makes it executable for its owner alone, and would shut all others out of the installation.
        stub = folder / self.stub.name
        try:
            shutil.copyfile(self.stub, stub)
        except OSError as error:
            raise TritonMissing(
                f"{self.stub} cannot be read ({error.strerror}): `chmod a+rx` it as the user who installed it"
            ) from error
        stub.chmod(0o700)


def library_folder() -> str | None:
    """Where this Python's shared library is, which the stub needs; None where the loader finds it by itself."""
    folder = sysconfig.get_config_var("LIBDIR")
    name = sysconfig.get_config_var("INSTSONAME")
    return str(folder) if folder and name and (Path(folder) / name).exists() else None


def joined(*folders: Path | str | None) -> str:
    """A search path of those folders that are known."""
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
    return "install the packages of your system that have them"
