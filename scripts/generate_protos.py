"""Generate protos/gen from protos/dance; with `--check`, fail if the committed code is out of date."""

from __future__ import annotations

import argparse
import filecmp
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
COMMITTED = PROTOS / "gen"


def generate(into: Path) -> None:
    """Write messages, their type stubs and the services' stubs below `into`."""
    import grpc_tools

    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "dance").rglob("*.proto"))
    includes = [f"-I{PROTOS}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    outputs = [f"--{kind}_out={into}" for kind in ("python", "pyi", "grpc_python")]
    if protoc.main(["protoc", *includes, *outputs, *sources]) != 0:
        sys.exit("error: protoc failed")
    for folder in (into / "dance", into / "dance" / "v1"):
        (folder / "__init__.py").touch()


def differences(generated: Path) -> list[str]:
    """Return the names of files that differ between `generated` and protos/gen."""
    names = {str(path.relative_to(root)) for root in (generated, COMMITTED) for path in root.rglob("*.py*")}
    names = {name for name in names if "__pycache__" not in name}
    _, mismatch, errors = filecmp.cmpfiles(generated, COMMITTED, sorted(names), shallow=False)
    return sorted(mismatch + errors)


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the committed code differs")
    if not parser.parse_args().check:
        generate(COMMITTED)
        return
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        different = differences(Path(folder))
    if different:
        sys.exit("error: generated code differs, run `make protos`: " + ", ".join(different))


if __name__ == "__main__":
    main()
