"""The list of actors as messages of ListActors, with their previews."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Final

from dance.v1 import actor_pb2, transfer_pb2

from motion.frame import FrameSize
from serving.actors.preview import PREVIEW_MEDIA_TYPE, has_preview, read_preview
from serving.actors.shown_records import ListedConsent, shown_scores, trained_at_s
from serving.actors.sizes import picture_sizes
from serving.actors.store import ListedVersion
from serving.rpc import converters
from serving.rpc.error_status import without_paths

MOST_PREVIEWS_BYTES: Final = 8 * 2**20
"""Of one answer: half of the limit for a message, which leaves room for everything else."""


def list_to_proto(
    found: Iterable[ListedVersion], watermark_key_ids: Sequence[int], *, previews: bool
) -> transfer_pb2.ListActorsResponse:
    """Build the answer of ListActors. previews: with as many of the actors' previews as fit, served versions first."""
    listed = list(found)
    response = transfer_pb2.ListActorsResponse(
        actors=[summary_to_proto(version) for version in listed], watermark_key_ids=watermark_key_ids
    )
    if previews:
        left_bytes = MOST_PREVIEWS_BYTES
        for index in sorted(range(len(listed)), key=lambda index: listed[index].served_percent == 0):
            actor, summary = listed[index].actor, response.actors[index]
            if actor is None or not summary.has_preview:
                continue
            data = read_preview(actor.folder)
            if data is None:  # removed or damaged since the summary was made
                summary.has_preview = False
            elif len(data) <= left_bytes:
                left_bytes -= len(data)
                summary.preview.media_type, summary.preview.data = PREVIEW_MEDIA_TYPE, data
    return response


def summary_to_proto(listed: ListedVersion) -> actor_pb2.ActorSummary:
    """Summarise one version of an actor, without its preview."""
    summary = actor_pb2.ActorSummary(
        actor=listed.actor_id,
        actor_version=listed.version,
        unavailable=without_paths(listed.unavailable),
        served_percent=listed.served_percent,
    )
    if listed.consent is not None:
        summary.consent = listed.consent.text
        shown = ListedConsent.of(listed.consent, summary.unavailable if listed.without_consent else "")
        if shown is not None:
            summary.consent_summary.CopyFrom(actor_pb2.ConsentSummary(**asdict(shown)))
    actor = listed.actor
    if actor is not None:
        crop_size = FrameSize(actor.crop.out_width_px, actor.crop.out_height_px)
        summary.stage_size.CopyFrom(converters.frame_size_to_proto(crop_size))
        summary.full_frame_size.CopyFrom(converters.frame_size_to_proto(actor.frame_size))
        summary.preset = actor.preset
        summary.label_map_version = actor.label_map_version
        summary.body.CopyFrom(converters.body_stats_to_proto(actor.body))
        summary.size_bytes = actor.size_bytes
        summary.bare_warp = actor.is_bare_warp
        summary.smaller_sizes.extend(converters.frame_size_to_proto(size) for size in picture_sizes(actor)[1:])
        if actor.wardrobe is not None:
            summary.wardrobe.key_frames = actor.wardrobe.key_frames
            summary.wardrobe.facings.extend(actor.wardrobe.facings)
        if (seconds := trained_at_s(actor)) is not None:
            converters.fill_seconds(summary.trained_at, seconds)
        for name, value in shown_scores(actor).items():
            summary.scores.add(name=name, value=value)
        summary.has_preview = has_preview(actor.folder)
    return summary
