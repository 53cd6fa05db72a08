"""The places that write pictures and videos: a new one must decide how its files are marked."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

PACKAGES: Final = ("client", "motion", "orchestrator", "provenance", "serving", "services", "training", "video", "web")
WRITES: Final = (
    "imwrite", "imwriteanimation", "imencode", "encode_jpeg", "encode_picture", "write_picture", "write_preview",
    "add_image", "add_images", "savefig", "imsave",
)  # fmt: skip
MARKED: Final = {
    "client/media/video_writer.py": "signed by its FileMarks, which it cannot be made without",
    "provenance/credentials/actor_pictures.py": "signed; previews get a watermark",
    "serving/pictures/codec.py": "what the orchestrator's encode stage and frame folders call, which mark",
    "client/commands/preview.py": "through actor_pictures",
    "client/media/frame_folder.py": "each PNG is signed by the folder's FileMarks",
    "orchestrator/stages/encode.py": "marked by orchestrator/stages/marks.py",
    "client/screens/picture_stream.py": "shows the marked pictures of a server again",
    "training/evaluation/tables.py": "plots; pictures go through actor_pictures",
    "serving/actors/preview.py": "called by actor_pictures only",
    "serving/process/atomic_files.py": "called by the places below",
}
SHOW_NO_DRAWN_PERSON: Final = {
    "training/preparation/report.py": "frames of the footage, inside a page",
    "training/preparation/prepare.py": "the empty place",
    "training/preparation/crop_arrays.py": "the empty place",
    "training/publishing/publish.py": "the plate, a part of the actor; what is drawn goes through actor_pictures",
    "training/reporting/loss_curves.py": "TensorBoard's event file, whose pictures are those of preview.png",
    "client/media/frame_feed.py": "the source on its way to the server",
    "client/media/background.py": "the background on its way to the server",
    "client/poses/local_estimation.py": "the source, for the estimator here",
    "client/doctor/probe_session.py": "a grey frame",
    "orchestrator/stages/face.py": "a face on its way to the face stage, inside the server",
    "orchestrator/session/checkpoint.py": "the previous picture, sealed, which must not be marked",
    "provenance/detector/compression.py": "in memory, to train the detector",
    "web/actors/previews.py": "a still of a preview, whose watermark it has",
}


def _writers(root: Path) -> set[str]:
    found = set()
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
                name = ast.unparse(call.func).rpartition(".")[2]
                opens = ast.unparse(call.func) == "av.open" and "'w'" in [ast.unparse(given) for given in call.args]
                if name in WRITES or opens:
                    found.add(path.relative_to(root).as_posix())
    return found


def test_every_place_that_writes_pictures_is_known(root: Path) -> None:
    """Pictures of actors are marked; the others show no drawn person."""
    assert _writers(root) == {*MARKED, *SHOW_NO_DRAWN_PERSON}
