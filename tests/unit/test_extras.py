"""Each extra contains the packages its part imports, so that an image can install its own extra alone."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

DISTRIBUTIONS = {
    "cryptography": "cryptography", "jwt": "pyjwt",
    "av": "av", "cv2": "opencv-python", "google.protobuf": "protobuf", "google.rpc": "googleapis-common-protos",
    "grpc": "grpcio", "grpc_health": "grpcio-health-checking", "grpc_reflection": "grpcio-reflection",
    "grpc_status": "grpcio-status", "matplotlib": "matplotlib", "mediapipe": "mediapipe",
    "numpy": "numpy", "onnx": "onnx", "openvino": "openvino",
    "prometheus_client": "prometheus-client", "rich": "rich", "simplejpeg": "simplejpeg", "torch": "torch",
    "psutil": "psutil", "c2pa": "c2pa-python", "tensorboardX": "tensorboardx",
    "torchmetrics": "torchmetrics", "tritonclient": "tritonclient", "typer": "typer",
    "onnxruntime": "onnxruntime", "scipy": "scipy",
    "starlette": "starlette", "uvicorn": "uvicorn", "websockets": "websockets",
}  # fmt: skip
OURS = {
    "benchmarks", "client", "dance", "motion", "orchestrator", "provenance", "samples", "serving", "services",
    "training", "video", "web",
}  # fmt: skip
GIVEN_BY_TRITON = {"triton_python_backend_utils"}
PARTS = {
    "pose": ["motion", "serving", "services/pose"],
    "normalize": ["motion", "serving", "services/normalize"],
    "face": ["motion", "serving", "services/face"],
    "generator": ["motion", "serving", "services/generator"],
    "orchestrator": [
        "motion",
        "serving",
        "provenance/watermark",
        "provenance/label.py",
        "provenance/private_files.py",
        "orchestrator",
    ],
    "client": ["motion", "serving", "video", "provenance", "client"],
    "samples": ["motion", "provenance/credentials", "samples"],
    "web": ["motion", "serving", "video", "provenance", "client", "web"],
    "training": [
        "motion",
        "serving",
        "video",
        "provenance",
        "training",
        "services/pose",
        "services/generator/network.py",
    ],
}
OPTIONAL = {
    # Person tracking is used only by the pose service and the client.
    "motion/people/person_tracking.py": {"scipy"},
    # Only its training, not its use, needs PyTorch.
    "provenance/detector/network.py": {"torch"},
    "provenance/detector/train.py": {"onnx", "torch"},
    # Our images do without MediaPipe's wheel; the extra "solution" has it.
    "services/pose/mediapipe_solution/estimator.py": {"mediapipe"},
    # Imported lazily by the engines, which only some parts use.
    "serving/inference/engine.py": {"torch"},
    "serving/inference/conv_blocks.py": {"torch"},
    "serving/inference/silent_libraries.py": {"onnxruntime", "openvino"},
    "serving/inference/torch_engine.py": {"torch"},
    "serving/inference/onnx_weights.py": {"onnx"},
    # Without it, asyncio's own loop serves. The processes that use it have it in their extras.
    "serving/process/event_loop.py": {"uvloop"},
    # Cluster commands need the extra "deploy" and say so if it is missing.
    "client/cluster/kubernetes_api.py": {"kubernetes", "urllib3"},
    "client/cluster/pod_exec.py": {"kubernetes", "websocket"},
    "client/cluster/job_template.py": {"yaml"},
    # The PyTorch networks run on GPUs, with the extra "gpu".
    "services/face/network.py": {"torch"},
    "services/generator/network.py": {"torch"},
    "services/face/refiner.py": {"torch"},
    "services/face/network_cache.py": {"torch"},
    "services/generator/actor_network.py": {"torch"},
}


def _declared(root: Path, extra: str) -> set[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted, seen = [*project["dependencies"], *project["optional-dependencies"][extra]], set()
    while wanted:
        requirement = wanted.pop()
        name = re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()
        if name == project["name"]:
            extras = re.split(r"[\[\]]", requirement)[1].split(",")
            wanted += [r for other in extras for r in project["optional-dependencies"][other]]
        seen.add(name)
    return seen


def _third_party(path: Path, root: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    tops = {".".join(name.split(".")[:2]) if name.startswith("google.") else name.split(".")[0] for name in names}
    optional = OPTIONAL.get(path.relative_to(root).as_posix(), set())
    return tops - OURS - GIVEN_BY_TRITON - optional - set(sys.stdlib_module_names)


@pytest.mark.parametrize("extra", PARTS)
def test_an_extra_contains_its_parts_imports(root: Path, extra: str):
    """Every third-party package that a part imports at module level is in the base or in the part's extra."""
    declared = _declared(root, extra)
    for part in PARTS[extra]:
        for path in [root / part] if part.endswith(".py") else sorted((root / part).rglob("*.py")):
            for name in _third_party(path, root):
                assert DISTRIBUTIONS[name] in declared, f"{path.relative_to(root)} imports {name}, not in [{extra}]"
