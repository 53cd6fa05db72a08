"""Write the variants of deploy/jobs/train.yaml; with `--check`, fail if one is out of date.

python scripts/generate_job_manifests.py [--check]
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import yaml

from client.cluster.job_template import TEMPLATE, on_cluster, read_template, render
from client.cluster.options import ClusterAccess, ClusterTraining
from scripts.generated_files import write_or_check
from training.options import FootageRequest, TrainRequest

FOLDER: Final = TEMPLATE.parent
HEADER: Final = """\
# {what}:
# `kubectl create -f deploy/jobs/{name}`, after you have set names, annotation and args.
# Generated from train.yaml by `python scripts/generate_job_manifests.py`; its comments explain the fields.
"""
FOOTAGE: Final = FootageRequest(files=[Path("/footage/me.mp4")])
TRAINING: Final = on_cluster(
    TrainRequest(footage=FOOTAGE, actor="me", preset="fine-512", consent="who agreed, to what"), FOOTAGE, 1
)
EXAMPLE: Final = ClusterTraining(training=TRAINING, access=ClusterAccess())
"""The request that train.yaml, the template, shows."""
ON_CPUS: Final = replace(TRAINING, preset="quick-512", device="cpu")
VARIANTS: Final = {
    "train-cpu.yaml": (
        "One training as one pod without a GPU",
        replace(EXAMPLE, training=ON_CPUS, gpus=0, name="train-me-cpu"),
    ),
    "train-distributed.yaml": (
        "One training as two pods, joined by torchrun, with one GPU each",
        replace(EXAMPLE, nodes=2, name="train-me-distributed"),
    ),
}


class _Indented(yaml.SafeDumper):
    """Indents lists below their key, as the other manifests do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def text_of(name: str) -> str:
    """Return the whole file."""
    what, request = VARIANTS[name]
    document = render(read_template(), request)
    body = yaml.dump(document, Dumper=_Indented, sort_keys=False, width=110)
    return HEADER.format(what=what, name=name) + body


if __name__ == "__main__":
    write_or_check({FOLDER / name: text_of(name) for name in VARIANTS})
