"""The dashboard "Triton and GPU": Triton's own metrics, its GPU, and the agent that loads actors."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import NAMESPACE, PODS, board, lines, query, row


def _a_request(counter: str) -> str:
    """Mean seconds of one part of a request; Triton counts microseconds."""
    return (
        f"sum by (model) (rate({counter}{{{PODS}}}[$__rate_interval])) / 1e6 / "
        f"(sum by (model) (rate(nv_inference_request_success{{{PODS}}}[$__rate_interval])) > 0)"
    )


TRITON: Final = board(
    name="triton",
    title="Dance: Triton and GPU",
    description="Metrics of Triton and its GPU. A model is an actor; a request is a picture.",
    pods_with="nv_inference_request_success",
    panels=(
        row("Requests"),
        lines(
            "Pictures a second by actor",
            "Answered requests, including the agent's canaries.",
            "short",
            query(f"sum by (model) (rate(nv_inference_request_success{{{PODS}}}[$__rate_interval]))", "{{model}}"),
        ),
        lines(
            "Failed requests",
            "By the reason that Triton reports.",
            "short",
            query(f"sum by (reason) (rate(nv_inference_request_failure{{{PODS}}}[$__rate_interval]))", "{{reason}}"),
        ),
        lines(
            "Waiting requests",
            "Requests that Triton has received but not started.",
            "short",
            query(f"sum by (model) (nv_inference_pending_request_count{{{PODS}}})", "{{model}}"),
        ),
        row("Time"),
        lines(
            "Mean time of a request, by part",
            "Means, because Triton only counts total microseconds.",
            "s",
            *(
                query(f"sum({_a_request(f'nv_inference_{part}_duration_us')})", part)
                for part in ("queue", "compute_input", "compute_infer", "compute_output")
            ),
            stacked=True,
        ),
        lines(
            "Quantiles of a request",
            "Triton's own quantiles over the last minutes. They need summary_latencies=true at Triton's start.",
            "s",
            query(
                f'max by (quantile) (nv_inference_request_summary_us{{{PODS}, quantile=~"0.5|0.95|0.99"}}) / 1e6',
                "p{{quantile}}",
            ),
        ),
        lines(
            "Mean queue time by actor",
            "Above 20 ms, half of the frame budget is spent waiting for other sessions.",
            "s",
            query(_a_request("nv_inference_queue_duration_us"), "{{model}}"),
            limit=0.02,
        ),
        row("Batches and the host"),
        lines(
            "Pictures in a batch",
            "Mean batch size of each network. Above 1, sessions with the same actor share runs.",
            "short",
            query(
                f"sum by (model) (rate(nv_inference_count{{{PODS}}}[$__rate_interval])) / "
                f"(sum by (model) (rate(nv_inference_exec_count{{{PODS}}}[$__rate_interval])) > 0)",
                "{{model}}",
            ),
        ),
        lines(
            "CPU of the host",
            "Share of all cores in use, as Triton sees it.",
            "percentunit",
            query(f"max by (pod) (nv_cpu_utilization{{{PODS}}})", "{{pod}}"),
            largest=1,
        ),
        lines(
            "Memory of the host",
            "Memory as Triton sees it.",
            "bytes",
            query(f"max by (pod) (nv_cpu_memory_used_bytes{{{PODS}}})", "{{pod}} used"),
            query(f"max by (pod) (nv_cpu_memory_total_bytes{{{PODS}}})", "{{pod}} total"),
        ),
        row("GPU"),
        lines(
            "GPU utilisation",
            "Share of the time in which the GPU was busy.",
            "percentunit",
            query(f"max by (pod, gpu_uuid) (nv_gpu_utilization{{{PODS}}})", "{{pod}} {{gpu_uuid}}"),
            largest=1,
        ),
        lines(
            "GPU memory",
            "Memory used and total memory.",
            "bytes",
            query(f"max by (pod, gpu_uuid) (nv_gpu_memory_used_bytes{{{PODS}}})", "{{pod}} used"),
            query(f"max by (pod, gpu_uuid) (nv_gpu_memory_total_bytes{{{PODS}}})", "{{pod}} total"),
        ),
        lines(
            "GPU power",
            "Power used and the power limit.",
            "watt",
            query(f"max by (pod, gpu_uuid) (nv_gpu_power_usage{{{PODS}}})", "{{pod}} used"),
            query(f"max by (pod, gpu_uuid) (nv_gpu_power_limit{{{PODS}}})", "{{pod}} limit"),
        ),
        row("The agent"),
        lines(
            "Loaded versions of actors",
            "GENERATOR_MAX_ACTORS is the limit of each pod.",
            "short",
            query(f"sum by (pod) (dance_generator_loaded_versions{{{NAMESPACE}}})", "{{pod}}"),
        ),
        lines(
            "Canaries",
            "Test pictures that the agent requests to check that Triton works.",
            "short",
            query(
                f"sum by (outcome) (increase(dance_generator_canaries_total{{{NAMESPACE}}}[$__rate_interval]))",
                "{{outcome}}",
            ),
        ),
        lines(
            "Repairs",
            "Actors that were reloaded, and restarts of Triton.",
            "short",
            query(
                f"sum by (by) (increase(dance_generator_healings_total{{{NAMESPACE}}}[$__rate_interval]))",
                "{{by}}",
            ),
        ),
    ),
)
