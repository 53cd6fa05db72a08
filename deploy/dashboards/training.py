"""The dashboard "Training": how far a training is, how fast, and how good."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import Dashboard, Query, lines, number, quantiles, row

_OF: Final = 'namespace="$namespace", pod=~"$pod"'
_JOBS: Final = 'namespace="$namespace"'

TRAINING: Final = Dashboard(
    name="training",
    title="Dance: Training",
    description="Trainings while they run: how far, how fast, how good, and whether their Jobs live.",
    pods_with="dance_training_phase",
    panels=(
        number(
            "Phase",
            "What the training does now.",
            "none",
            Query(f"sum by (phase) (dance_training_phase{{{_OF}}} == 1)", "{{phase}}"),
            width=6,
        ),
        number(
            "Time left in this phase",
            "An estimate from the speed so far.",
            "s",
            Query(f"max(dance_training_seconds_left{{{_OF}}})"),
            width=6,
        ),
        number(
            "Pictures seen",
            "Drawn in training by this process.",
            "short",
            Query(f"sum(dance_training_frames_seen_total{{{_OF}}})"),
            width=6,
        ),
        number(
            "Age of the checkpoint",
            "What would be lost now. One is written every minute.",
            "s",
            Query(f"max(time() - (dance_training_checkpoint_timestamp_seconds{{{_OF}}} > 0))"),
            width=6,
            warn=600,
        ),
        row("How good"),
        lines(
            "Losses",
            "Of the last step, by name.",
            "short",
            Query(f"avg by (name) (dance_training_loss{{{_OF}}})", "{{name}}"),
            width=12,
        ),
        lines(
            "Likeness of held-out frames (SSIM)",
            "1 is the same picture; body and face crops.",
            "short",
            Query(f'max by (metric) (dance_training_score{{{_OF}, metric=~".*_ssim"}})', "{{metric}}"),
            width=6,
            largest=1,
        ),
        lines(
            "Likeness of held-out frames (PSNR)",
            "In decibels; body and face crops.",
            "short",
            Query(f'max by (metric) (dance_training_score{{{_OF}, metric=~".*_psnr_db"}})', "{{metric}}"),
            width=6,
        ),
        row("How fast"),
        lines(
            "Pictures a second",
            "Drawn in training; evaluation in between shows as dips.",
            "short",
            Query(f"sum by (pod) (rate(dance_training_frames_seen_total{{{_OF}}}[$__rate_interval]))", "{{pod}}"),
        ),
        lines("Duration of a step", "", "s", *quantiles("dance_training_step_seconds", _OF)),
        lines(
            "Time left in this phase",
            "It rises where the training slows down.",
            "s",
            Query(f"max by (pod) (dance_training_seconds_left{{{_OF}}})", "{{pod}}"),
        ),
        row("Jobs"),
        lines(
            "Jobs by state",
            "From kube-state-metrics, where the cluster has it.",
            "short",
            Query(f"sum(kube_job_status_active{{{_JOBS}}})", "pods at work"),
            Query(f"sum(kube_job_status_failed{{{_JOBS}}})", "pods that failed"),
            Query(f"sum(kube_job_status_succeeded{{{_JOBS}}})", "pods that finished"),
            width=24,
        ),
    ),
)
