"""The structural rules that a reader relies on."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ALLOWED = {
    "motion": set(),
    "serving": {"motion"},
    "services": {"motion", "serving"},
    "video": {"motion", "serving"},
    "provenance": {"motion", "serving", "video"},
    "orchestrator": {"motion", "provenance", "serving"},
    "training": {
        "motion", "provenance", "serving", "video",
        "services.generator.network", "services.face.network",
        "services.pose.estimator", "services.pose.backends",
    },
    "client": {
        "motion", "provenance", "serving", "training", "video",
        "services.pose.backends", "services.pose.estimator", "services.pose.models.card",
        "services.generator.triton.plain_paths",
    },
    "web": {
        "client", "motion", "provenance", "serving", "video",
        "services.pose.estimator", "services.pose.mediapipe.model_files",
    },
}  # fmt: skip
ROOMS = {
    "motion": ("wardrobe", "people", "keypoint_files", "smoothing"),
    "serving": ("rpc", "inference", "actors", "pictures", "observability", "transport", "process"),
    "services.pose": ("openpose", "rtmpose", "mediapipe_solution", "mediapipe", "models"),
    "services.generator": ("triton",),
    "orchestrator": ("edge", "session", "stages", "stage_calls", "pipeline"),
    "training": (
        "publishing", "loop", "reporting", "evaluation", "checkpoints", "losses", "networks", "preparation",
        "footage_report", "data", "place", "process",
    ),
    "client": (
        "commands", "doctor", "training", "transfer", "screens", "cluster", "poses", "local_stack", "media",
        "verification", "connection", "terminal",
    ),
    "provenance": ("detector", "credentials", "watermark"),
    "samples": ("renderer",),
    "web": ("making", "verifying", "dances", "live", "actors", "browser_pose", "access"),
}  # fmt: skip
"""The rooms of each package: a room may import those after it, and files beside the rooms."""
MOST_FILES_SIDE_BY_SIDE = 14
OURS = (*ALLOWED, "samples", "benchmarks")
_OPENS_A_CHANNEL = ("insecure_channel", "secure_channel", "InferenceServerClient")
SEES_PROTOBUF = (
    "servicer.py",
    "orchestrator/edge/",
    "orchestrator/stages/",
    "serving/rpc/converters.py",
    "client/connection/messages.py",
    "client/connection/session.py",
)


def _modules(root: Path, package: str) -> list[Path]:
    return sorted((root / package).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(root: Path, package: str) -> None:
    """Each package imports only those that `ALLOWED` names, and no service imports another."""
    for path in _modules(root, package):
        own = ".".join(path.relative_to(root).parts[: 2 if package == "services" else 1])
        for name in _imports(path):
            if name.split(".")[0] not in OURS or f"{name}.".startswith(f"{own}."):
                continue
            allowed = any(f"{name}.".startswith(f"{other}.") for other in ALLOWED[package])
            assert allowed, f"{path.relative_to(root)} imports {name}"


@pytest.mark.parametrize("package", ALLOWED)
def test_only_the_edge_sees_protobuf(root: Path, package: str) -> None:
    """Messages are converted at the edge; the middle works on our own types."""
    for path in _modules(root, package):
        where = path.relative_to(root).as_posix()
        if not any(edge in where for edge in SEES_PROTOBUF):
            messages = [name for name in _imports(path) if name.startswith("dance.v1.") and "_pb2_grpc" not in name]
            assert not messages, f"{where} imports {messages}"


@pytest.mark.parametrize("package", [*OURS, "tests", "scripts", "examples"])
def test_libraries_that_report_are_imported_in_one_place(root: Path, package: str) -> None:
    """OpenVINO and ONNX Runtime report their use unless something is done before they are imported."""
    for path in _modules(root, package):
        found = {name.split(".")[0] for name in _imports(path)} & {"openvino", "openvino_telemetry", "onnxruntime"}
        where = path.relative_to(root).as_posix()
        assert not found or where == "serving/inference/silent_libraries.py", (
            f"{where} imports {found}: serving.inference.silent_libraries has them"
        )


@pytest.mark.parametrize("package", OURS)
def test_nothing_that_is_read_can_run_code(root: Path, package: str) -> None:
    """The code reads no pickles, whether plain, in NumPy's files or in torch's, and runs no source text."""
    for path in _modules(root, package):
        where = path.relative_to(root).as_posix()
        pickles = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib"}
        assert not {name.split(".")[0] for name in _imports(path)} & pickles, where
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            called, said = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert called not in ("eval", "exec", "compile"), f"{where} calls {called}"
            if called.startswith("yaml."):
                assert called in ("yaml.safe_load", "yaml.safe_dump"), f"{where} calls {called}"
            assert said.get("allow_pickle", "False") == "False", f"{where} allows pickles"
            if called == "torch.load":
                assert said.get("weights_only") == "True", f"{where} loads more than weights"


def test_every_channel_says_whether_it_may_use_a_proxy(root: Path) -> None:
    """Channels are opened in `serving/rpc/channels.py`, or with options that switch proxies off."""
    folders = (*OURS, "examples", "scripts", "tests")
    for path in (path for folder in folders for path in _modules(root, folder)):
        where = path.relative_to(root).as_posix()
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func).rpartition(".")[2]
            if where == "serving/rpc/channels.py" or name not in _OPENS_A_CHANNEL:
                continue
            decided = ("NO_PROXY", "CHANNEL_OPTIONS", "options", "straight")
            assert any(word in ast.unparse(call) for word in decided), f"{where}: {ast.unparse(call)}"


def _room(module: str, package: str) -> str:
    """The room of `package` that contains a module; "" for a file beside the rooms."""
    first = module.removeprefix(f"{package}.").partition(".")[0]
    return first if first in ROOMS[package] else ""


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_in_one_direction(root: Path, package: str) -> None:
    """A room imports only the rooms after it, so they can be read in that order."""
    folder = package.replace(".", "/")
    assert {path.parent.name for path in (root / folder).glob("*/*.py")} - {"__pycache__"} <= set(ROOMS[package])
    for path in _modules(root, folder):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        own = _room(module, package)
        for name in _imports(path):
            other = _room(name, package) if name.startswith(f"{package}.") else ""
            if own and other and own != other:
                order = ROOMS[package]
                assert order.index(own) < order.index(other), f"{module} imports {name}"


def test_no_modules_import_each_other_in_a_circle(root: Path) -> None:
    """Every module can be read after the ones it imports."""
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in OURS
        for path in _modules(root, package)
    }
    imports = {
        name: {_module_of(imported, paths) for imported in _imports(path)} - {"", name} for name, path in paths.items()
    }
    assert sum(map(len, imports.values())) > 1000  # names from modules count as imports of the module
    assert not _circle(imports)
    assert _circle({**imports, "motion.frame": {"client.__main__"}, "client.__main__": {"motion.frame"}})


def _module_of(name: str, modules: Mapping[str, Path]) -> str:
    """The module that an imported name is or comes from; "" for one that is not ours."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def _circle(imports: Mapping[str, Set[str]]) -> str:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return " imports ".join(reversed(error.args[1]))
    return ""


def test_no_folder_is_a_long_list(root: Path) -> None:
    """At most 14 Python files side by side; benchmarks/ has one per question."""
    for package in (*OURS, "scripts", "deploy"):
        for folder in {path.parent for path in _modules(root, package)} - {root / "benchmarks"}:
            count = len(list(folder.glob("*.py")))
            assert count <= MOST_FILES_SIDE_BY_SIDE, f"{folder.relative_to(root)} has {count} Python files"


def test_names_have_a_subject(root: Path) -> None:
    """No file or folder is called common, utils, helpers or misc, and none repeats the name of its folder."""
    for package in (*OURS, "scripts", "deploy", "tests"):
        for path in _modules(root, package):
            names = {path.stem, path.parent.name}
            assert not names & {"common", "utils", "util", "helpers", "misc"}, path.relative_to(root)
            assert package == "tests" or path.stem != path.parent.name, path.relative_to(root)


@pytest.mark.parametrize("package", OURS)
def test_unit_tests_mirror_the_tree(root: Path, package: str) -> None:
    """Every folder below tests/unit has its counterpart in the project."""
    for path in _modules(root, f"tests/unit/{package}"):
        folder = path.parent.relative_to(root / "tests" / "unit")
        assert (root / folder).is_dir(), f"tests/unit/{folder} has no counterpart"


def test_no_file_is_long(root: Path) -> None:
    """A file of more than 400 lines has more than one subject."""
    for package in (*OURS, "scripts", "deploy", "examples"):
        for path in _modules(root, package):
            count = len(path.read_text().splitlines())
            assert count <= 400, f"{path.relative_to(root)} has {count} lines"
