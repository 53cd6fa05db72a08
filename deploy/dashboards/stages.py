"""The dashboard "Stages": where a frame's time goes, stage by stage."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import Dashboard, Panel, Query, bars, choice, heat, lines, quantiles, row

_OF: Final = 'namespace="$namespace", pod=~"$pod"'
STAGES: Final = ("pose", "normalize", "label_map", "generator", "face", "encode")


def _mean(metric: str, selector: str, by: str = "stage") -> str:
    return (
        f"sum by ({by}) (rate({metric}_sum{{{selector}}}[$__rate_interval])) / "
        f"(sum by ({by}) (rate({metric}_count{{{selector}}}[$__rate_interval])) > 0)"
    )


def _row_of(stage: str) -> tuple[Panel, ...]:
    of = f'{_OF}, stage="{stage}"'
    answered = f'{of}, outcome="ok"'
    return (
        row(stage),
        lines(
            "Duration",
            "From a frame's leaving the link before the stage to the stage's answer.",
            "s",
            *quantiles("dance_stage_duration_seconds", answered),
            width=6,
        ),
        lines(
            "Queue",
            "How long a frame lay before the stage.",
            "s",
            *quantiles("dance_stage_queue_seconds", of),
            width=6,
        ),
        lines(
            "Share of the frame budget",
            "Mean time in parts of what one frame may take: the stage's own work, and all until its answer. A stage "
            "above 100 % cannot keep the rate.",
            "percentunit",
            Query(f"({_mean('dance_stage_compute_seconds', of)}) / $budget", "own work"),
            Query(f"({_mean('dance_stage_duration_seconds', answered)}) / $budget", "until the answer"),
            width=6,
            limit=1,
        ),
        heat("Where answers lie", "Answers by how long they took.", "dance_stage_duration_seconds", answered, width=6),
    )


STAGES_DASHBOARD: Final = Dashboard(
    name="stages",
    title="Dance: Stages",
    description="Where a frame's time goes: each stage as the orchestrators see it, then the services' own view.",
    pods_with="dance_build_info",
    variables=(
        choice(
            "budget",
            "Frame budget",
            (("25 frames a second", "0.04"), ("30 frames a second", "0.0333"), ("15 frames a second", "0.0667")),
        ),
    ),
    panels=(
        row("All stages"),
        bars(
            "Share of the frame budget",
            "A stage's own work on a frame, mean, in parts of what one frame may take. The longest one sets the rate.",
            "percentunit",
            Query(f"({_mean('dance_stage_compute_seconds', _OF)}) / $budget", "{{stage}}"),
            warn=1,
            largest=1.5,
        ),
        lines(
            "p99 by stage, 5 min",
            "Of all pods of the namespace, as recorded for alerts.",
            "s",
            Query('dance:stage_duration_seconds:p99_rate5m{namespace="$namespace"}', "{{stage}}"),
        ),
        lines(
            "Answers a second",
            "Attempts that ended well, by stage.",
            "short",
            Query(
                f'sum by (stage) (rate(dance_stage_duration_seconds_count{{{_OF}, outcome="ok"}}[$__rate_interval]))',
                "{{stage}}",
            ),
        ),
        *(panel for stage in STAGES for panel in _row_of(stage)),
        row("The services themselves"),
        lines(
            "Own work, p95",
            "What each service measures of its own work on a frame, without waiting.",
            "s",
            *(
                Query(
                    f"histogram_quantile(0.95, sum by (le) "
                    f"(rate(dance_{name}_compute_seconds_bucket{{{_OF}}}[$__rate_interval])))",
                    name,
                )
                for name in ("pose", "normalize", "face")
            ),
            width=6,
        ),
        lines(
            "Open streams",
            "Of services with streams; POSE_MAX_STREAMS is the limit of each pose pod.",
            "short",
            Query(f"sum by (stage) (dance_streams{{{_OF}}})", "{{stage}}"),
            width=6,
        ),
        lines(
            "What was seen and answered",
            "Frames of pose, poses of normalize, crops of face, by result.",
            "short",
            Query(f"sum by (result) (rate(dance_pose_estimates_total{{{_OF}}}[$__rate_interval]))", "pose {{result}}"),
            Query(
                f"sum by (result) (rate(dance_normalize_poses_total{{{_OF}}}[$__rate_interval]))",
                "normalize {{result}}",
            ),
            Query(
                f"sum by (result) (rate(dance_face_refinements_total{{{_OF}}}[$__rate_interval]))", "face {{result}}"
            ),
            width=6,
        ),
        lines(
            "Faces in a batch",
            "Mean faces that one run of a face network had.",
            "short",
            Query(_mean("dance_face_batch_faces", _OF, by="pod"), "{{pod}}"),
            width=6,
        ),
    ),
)
