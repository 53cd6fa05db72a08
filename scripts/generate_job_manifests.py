"""Writes the variants of deploy/jobs/train.yaml beside it; `--check` fails where they lag behind.

python scripts/generate_job_manifests.py [--check]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import yaml

from client.cluster.job_template import TEMPLATE, on_cluster, read_template, render
from client.cluster.options import ClusterAccess, ClusterTraining
from training.options import FootageRequest, TrainRequest

FOLDER: Final = TEMPLATE.parent
HEADER: Final = """\
# {what}:
# `kubectl create -f deploy/jobs/{name}`, after names, annotation and args are yours.
# Written by `python scripts/generate_job_manifests.py` from train.yaml, whose comments say why.
"""
FOOTAGE: Final = FootageRequest(files=[Path("/footage/me.mp4")])
TRAINING: Final = on_cluster(
    TrainRequest(footage=FOOTAGE, actor="me", preset="full-512", consent="who agreed, to what"), FOOTAGE, 1
)
EXAMPLE: Final = ClusterTraining(training=TRAINING, access=ClusterAccess())
"""What train.yaml, the template, asks for itself."""
ON_CPUS: Final = replace(TRAINING, preset="slim-256", device="cpu")
VARIANTS: Final = {
    "train-cpu.yaml": (
        "One training as one pod without a GPU",
        replace(EXAMPLE, training=ON_CPUS, gpus=0, name="train-me-cpu"),
    ),
    "train-distributed.yaml": (
        "One training as two pods that train together by torchrun, with one GPU each",
        replace(EXAMPLE, nodes=2, name="train-me-distributed"),
    ),
}


class _Indented(yaml.SafeDumper):
    """Lists are indented below their key, as in the other manifests."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def text_of(name: str) -> str:
    """The whole file."""
    what, request = VARIANTS[name]
    document = render(read_template(), request)
    body = yaml.dump(document, Dumper=_Indented, sort_keys=False, width=110)
    return HEADER.format(what=what, name=name) + body


def main(arguments: list[str]) -> int:
    """Writes, or with `--check` compares. The number of files that differ."""
    wrong = 0
    for name in VARIANTS:
        path = FOLDER / name
        if arguments != ["--check"]:
            path.write_text(text_of(name))
            print(f"wrote {path.relative_to(FOLDER.parents[1])}")
        elif not path.is_file() or path.read_text() != text_of(name):
            wrong += 1
            print(f"{path.relative_to(FOLDER.parents[1])} lags behind: python scripts/generate_job_manifests.py")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
