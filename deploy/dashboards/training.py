"""The dashboard "Training": progress, speed and quality of a training run."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import NAMESPACE, PODS, board, lines, number, quantiles, query, row

TRAINING: Final = board(
    name="training",
    title="Dance: Training",
    description="Running trainings: progress, speed, quality, and the state of their Jobs.",
    pods_with="dance_training_phase",
    panels=(
        number(
            "Phase",
            "The current phase of the training.",
            "none",
            query(f"sum by (phase) (dance_training_phase{{{PODS}}} == 1)", "{{phase}}"),
            width=6,
        ),
        number(
            "Time left in this phase",
            "Estimated from the speed so far.",
            "s",
            query(f"max(dance_training_seconds_left{{{PODS}}})"),
            width=6,
        ),
        number(
            "Pictures seen",
            "Pictures this process has trained on.",
            "short",
            query(f"sum(dance_training_frames_seen_total{{{PODS}}})"),
            width=6,
        ),
        number(
            "Age of the checkpoint",
            "The work that a crash would lose now. A checkpoint is written every minute.",
            "s",
            query(f"max(time() - (dance_training_checkpoint_timestamp_seconds{{{PODS}}} > 0))"),
            width=6,
            warn=600,
        ),
        row("Quality"),
        lines(
            "Losses",
            "Losses of the last step, by name.",
            "short",
            query(f"avg by (name) (dance_training_loss{{{PODS}}})", "{{name}}"),
            width=12,
        ),
        lines(
            "Similarity on held-out frames (SSIM)",
            "1 means identical. Body and face crops.",
            "short",
            query(f'max by (metric) (dance_training_score{{{PODS}, metric=~".*_ssim"}})', "{{metric}}"),
            width=6,
            largest=1,
        ),
        lines(
            "Sharpness on held-out frames",
            "Gradient drawn / real: 1 is as sharp as the film, below 0.9 is soft. SSIM and PSNR reward blur.",
            "short",
            query(f'max by (metric) (dance_training_score{{{PODS}, metric=~".*sharpness"}})', "{{metric}}"),
            width=6,
        ),
        row("Speed"),
        lines(
            "Pictures a second",
            "Training speed. Evaluation shows as dips.",
            "short",
            query(f"sum by (pod) (rate(dance_training_frames_seen_total{{{PODS}}}[$__rate_interval]))", "{{pod}}"),
        ),
        lines(
            "Duration of a step",
            "p50, p95 and p99 of one training step.",
            "s",
            *quantiles("dance_training_step_seconds", PODS),
        ),
        lines(
            "Time left in this phase",
            "It rises when the training slows down.",
            "s",
            query(f"max by (pod) (dance_training_seconds_left{{{PODS}}})", "{{pod}}"),
        ),
        row("Jobs"),
        lines(
            "Jobs by state",
            "From kube-state-metrics, if the cluster runs it.",
            "short",
            query(f"sum(kube_job_status_active{{{NAMESPACE}}})", "active pods"),
            query(f"sum(kube_job_status_failed{{{NAMESPACE}}})", "failed pods"),
            query(f"sum(kube_job_status_succeeded{{{NAMESPACE}}})", "finished pods"),
            width=24,
        ),
    ),
)
