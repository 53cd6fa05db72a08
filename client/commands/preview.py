"""`dance actors preview`: add a moving preview to a version that was published without one."""

from __future__ import annotations

from typing import Annotated

import typer

from client.commands.options import DEFAULT_ACTORS, ActorsFolder, Force, Logs
from client.commands.rollout import Name
from client.errors import CommandError, UsageError
from client.local_stack.actors_folder import check_folder
from client.local_stack.server_for_command import with_server
from client.media.source import Source
from client.terminal.display import Display
from client.terminal.output_files import refuse_existing
from client.terminal.signals import run
from client.transfer.moving_preview import danced_preview
from provenance.credentials.actor_pictures import ActorPictures
from provenance.user_folder import own_credentials
from serving.actors.store import ActorStore
from training.options import Certificate, CertificateKey
from video.opening import is_endless


def preview(
    name: Name,
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A short video of the dance that the preview shows.")],
    version: Annotated[int, typer.Option(min=0, help="Default: the version that is served.")] = 0,
    start: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Where in CLIP the preview begins.")] = 0.0,
    actors: ActorsFolder = DEFAULT_ACTORS,
    certificate: Certificate = None,
    certificate_key: CertificateKey = None,
    force: Force = False,
    logs: Logs = None,
) -> None:
    """Let a version dance two seconds of CLIP, for its preview.

    The preview is a small moving picture, which pages show beside the name of the actor.
    Training makes a preview by itself. This is for versions that were published without one, or for another dance.
    """
    if is_endless(clip):
        raise UsageError(f"{clip} is a camera or a stream: a clip is needed")
    check_folder(actors)
    source, display = Source(clip), Display()
    for remark in source.check():
        display.note(remark)
    actor = ActorStore(actors).load(name, version)
    refuse_existing([actor.preview_path], force=force, sources=[clip])
    credentials = own_credentials(certificate, certificate_key, display.note)
    pictures = ActorPictures(credentials, actor.id, actor_version=actor.version, consent_sha256=actor.consent.sha256())
    danced = run(
        lambda _: with_server(
            None,
            actors,
            logs,
            display,
            lambda server: danced_preview(server, source, actor.id, actor.version, start, display),
            load_at_start=actor.id,
        )
    )
    try:
        pictures.write_preview(actor.preview_path, danced.pictures, danced.frames_per_second)
    except OSError as error:
        raise CommandError(f"{actor.preview_path} cannot be written: {error.strerror or error}") from error
    size = f"{len(danced.pictures)} frames, {actor.preview_path.stat().st_size / 1000:.0f} kB"
    display.out.print(f"wrote {actor.preview_path}: {size}")
