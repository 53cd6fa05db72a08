"""The dashboard "Stages": where a frame spends its time, stage by stage."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import NAMESPACE, PODS, Panel, bars, board, choice, heat, lines, quantiles, query, row

STAGES: Final = ("pose", "normalize", "label_map", "reference", "generator", "face", "encode")


def _mean(metric: str, selector: str, by: str = "stage") -> str:
    return (
        f"sum by ({by}) (rate({metric}_sum{{{selector}}}[$__rate_interval])) / "
        f"(sum by ({by}) (rate({metric}_count{{{selector}}}[$__rate_interval])) > 0)"
    )


def _row_of(stage: str) -> tuple[Panel, ...]:
    of = f'{PODS}, stage="{stage}"'
    answered = f'{of}, outcome="ok"'
    return (
        row(stage),
        lines(
            "Duration",
            "From the moment a frame leaves the link before the stage until the stage answers.",
            "s",
            *quantiles("dance_stage_duration_seconds", answered),
            width=6,
        ),
        lines(
            "Queue",
            "How long frames wait before the stage.",
            "s",
            *quantiles("dance_stage_queue_seconds", of),
            width=6,
        ),
        lines(
            "Share of the frame budget",
            "Mean time as a share of the frame budget: the stage's own work, and the total until its answer. A stage "
            "above 100 % cannot keep up with the frame rate.",
            "percentunit",
            query(f"({_mean('dance_stage_compute_seconds', of)}) / $budget", "own work"),
            query(f"({_mean('dance_stage_duration_seconds', answered)}) / $budget", "until the answer"),
            width=6,
            limit=1,
        ),
        heat(
            "Distribution of answer times",
            "Answers by how long they took.",
            "dance_stage_duration_seconds",
            answered,
            width=6,
        ),
    )


STAGES_DASHBOARD: Final = board(
    name="stages",
    title="Dance: Stages",
    description="Where a frame spends its time: stages as the orchestrators see them, then the services' own view.",
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
            "Mean own work of each stage on a frame, as a share of the frame budget. The slowest sets the rate.",
            "percentunit",
            query(f"({_mean('dance_stage_compute_seconds', PODS)}) / $budget", "{{stage}}"),
            warn=1,
            largest=1.5,
        ),
        lines(
            "p99 by stage, 5 min",
            "All pods of the namespace, from the rule recorded for alerts.",
            "s",
            query(f"dance:stage_duration_seconds:p99_rate5m{{{NAMESPACE}}}", "{{stage}}"),
        ),
        lines(
            "Answers a second",
            "Successful attempts, by stage.",
            "short",
            query(
                f'sum by (stage) (rate(dance_stage_duration_seconds_count{{{PODS}, outcome="ok"}}[$__rate_interval]))',
                "{{stage}}",
            ),
        ),
        *(panel for stage in STAGES for panel in _row_of(stage)),
        row("The services themselves"),
        lines(
            "Own work, p95",
            "Work on a frame as each service measures it, without waiting time.",
            "s",
            *(
                query(
                    f"histogram_quantile(0.95, sum by (le) "
                    f"(rate(dance_{name}_compute_seconds_bucket{{{PODS}}}[$__rate_interval])))",
                    name,
                )
                for name in ("pose", "normalize", "face")
            ),
            width=6,
        ),
        lines(
            "Open streams",
            "Open streams by stage. POSE_MAX_STREAMS is the limit of each pose pod.",
            "short",
            query(f"sum by (stage) (dance_streams{{{PODS}}})", "{{stage}}"),
            width=6,
        ),
        lines(
            "Results by service",
            "Frames of the pose service, poses of normalize and crops of face, by result.",
            "short",
            query(f"sum by (result) (rate(dance_pose_estimates_total{{{PODS}}}[$__rate_interval]))", "pose {{result}}"),
            query(
                f"sum by (result) (rate(dance_normalize_poses_total{{{PODS}}}[$__rate_interval]))",
                "normalize {{result}}",
            ),
            query(
                f"sum by (result) (rate(dance_face_refinements_total{{{PODS}}}[$__rate_interval]))", "face {{result}}"
            ),
            width=6,
        ),
        lines(
            "Faces in a batch",
            "Mean number of faces in one run of a face network.",
            "short",
            query(_mean("dance_face_batch_faces", PODS, by="pod"), "{{pod}}"),
            width=6,
        ),
    ),
)
