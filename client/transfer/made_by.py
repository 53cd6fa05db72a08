"""What the Content Credentials of a transfer's file say about how it was made."""

from __future__ import annotations

from pathlib import Path

from client.connection.types import Accepted
from client.transfer.job import TransferJob
from provenance.credentials.manifest import SyntheticMedia
from video.opening import is_endless


def made_by(accepted: Accepted, job: TransferJob) -> SyntheticMedia:
    """Return the facts about what a session draws. Files that it is made from become ingredients."""
    inputs = [] if is_endless(job.source.name) else [Path(job.source.name)]
    if job.background.video is not None:
        inputs.append(job.background.video)
    files = tuple(path for path in inputs if path.is_file())
    return drawn_by(accepted, job.actor, files, source_name=Path(job.source.name).name)


def drawn_by(accepted: Accepted, actor: str, sources: tuple[Path, ...], *, source_name: str) -> SyntheticMedia:
    """Return the facts about the pictures of a session. sources: existing files. source_name: for people."""
    return SyntheticMedia(
        actor=actor,
        actor_version=accepted.actor_version,
        consent_sha256=accepted.consent_sha256,
        server_version=accepted.server_version,
        watermark_key_id=accepted.watermark_key_id,
        label=accepted.label,
        sources=sources,
        source_name=source_name,
    )
