"""The rules of the house that a reader relies on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ALLOWED = {
    "motion": set(),
    "serving": {"motion"},
    "services": {"motion", "serving"},
    "video": {"motion", "serving"},
    "orchestrator": {"motion", "serving"},
    "training": {
        "motion", "serving", "video",
        "services.generator.network", "services.face.network", "services.pose.estimator",
    },
    "client": {
        "motion", "serving", "training", "video",
        "services.pose.backends", "services.pose.estimator", "services.pose.models.card",
        "services.generator.triton.plain_paths",
    },
}  # fmt: skip
OURS = (*ALLOWED, "samples", "benchmarks")
_OPENS_A_CHANNEL = ("insecure_channel", "secure_channel", "InferenceServerClient")
SEES_PROTOBUF = (
    "servicer.py",
    "orchestrator/edge/",
    "orchestrator/stages/",
    "serving/rpc/converters.py",
    "client/connection/session.py",
    "client/doctor/probe_session.py",
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
    """Motion imports nobody, serving motion, services both; no service imports another."""
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
    """No pickles: not by themselves, not in NumPy's files, not in torch's; and no source text that is run."""
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
