"""The dashboard "Triton and GPU": what Triton says of itself, its GPU, and the agent that keeps its actors."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import Dashboard, Query, lines, row

_OF: Final = 'namespace="$namespace", pod=~"$pod"'


def _a_request(counter: str) -> str:
    """Mean seconds of a part of a request: Triton counts microseconds."""
    return (
        f"sum by (model) (rate({counter}{{{_OF}}}[$__rate_interval])) / 1e6 / "
        f"(sum by (model) (rate(nv_inference_request_success{{{_OF}}}[$__rate_interval])) > 0)"
    )


TRITON: Final = Dashboard(
    name="triton",
    title="Dance: Triton and GPU",
    description="What Triton says of itself and its GPU. A model is an actor, a request is a picture.",
    pods_with="nv_inference_request_success",
    panels=(
        row("Requests"),
        lines(
            "Pictures a second by actor",
            "Requests that were answered, the agent's canaries among them.",
            "short",
            Query(f"sum by (model) (rate(nv_inference_request_success{{{_OF}}}[$__rate_interval]))", "{{model}}"),
        ),
        lines(
            "Failed requests",
            "By Triton's reason.",
            "short",
            Query(f"sum by (reason) (rate(nv_inference_request_failure{{{_OF}}}[$__rate_interval]))", "{{reason}}"),
        ),
        lines(
            "Waiting requests",
            "Asked of Triton, and not yet begun.",
            "short",
            Query(f"sum by (model) (nv_inference_pending_request_count{{{_OF}}})", "{{model}}"),
        ),
        row("Time"),
        lines(
            "Mean time of a request, by part",
            "Triton counts microseconds, so these are means.",
            "s",
            *(
                Query(f"sum({_a_request(f'nv_inference_{part}_duration_us')})", part)
                for part in ("queue", "compute_input", "compute_infer", "compute_output")
            ),
            stacked=True,
        ),
        lines(
            "Quantiles of a request",
            "Triton's own, of its last minutes; it has them when started with summary_latencies=true.",
            "s",
            Query(
                f'max by (quantile) (nv_inference_request_summary_us{{{_OF}, quantile=~"0.5|0.95|0.99"}}) / 1e6',
                "p{{quantile}}",
            ),
        ),
        lines(
            "Mean queue time by actor",
            "More than 20 ms: half of a frame's budget is spent waiting for other sessions.",
            "s",
            Query(_a_request("nv_inference_queue_duration_us"), "{{model}}"),
            limit=0.02,
        ),
        row("Batches and the host"),
        lines(
            "Pictures in a batch",
            "Mean over the runs of each network. Above 1 where sessions with one actor draw together.",
            "short",
            Query(
                f"sum by (model) (rate(nv_inference_count{{{_OF}}}[$__rate_interval])) / "
                f"(sum by (model) (rate(nv_inference_exec_count{{{_OF}}}[$__rate_interval])) > 0)",
                "{{model}}",
            ),
        ),
        lines(
            "CPU of the host",
            "Used part of all cores, as Triton sees it.",
            "percentunit",
            Query(f"max by (pod) (nv_cpu_utilization{{{_OF}}})", "{{pod}}"),
            largest=1,
        ),
        lines(
            "Memory of the host",
            "As Triton sees it.",
            "bytes",
            Query(f"max by (pod) (nv_cpu_memory_used_bytes{{{_OF}}})", "{{pod}} used"),
            Query(f"max by (pod) (nv_cpu_memory_total_bytes{{{_OF}}})", "{{pod}} there"),
        ),
        row("GPU"),
        lines(
            "GPU utilisation",
            "Part of the time in which anything ran on it.",
            "percentunit",
            Query(f"max by (pod, gpu_uuid) (nv_gpu_utilization{{{_OF}}})", "{{pod}} {{gpu_uuid}}"),
            largest=1,
        ),
        lines(
            "GPU memory",
            "Used, and there.",
            "bytes",
            Query(f"max by (pod, gpu_uuid) (nv_gpu_memory_used_bytes{{{_OF}}})", "{{pod}} used"),
            Query(f"max by (pod, gpu_uuid) (nv_gpu_memory_total_bytes{{{_OF}}})", "{{pod}} there"),
        ),
        lines(
            "GPU power",
            "Used, and its limit.",
            "watt",
            Query(f"max by (pod, gpu_uuid) (nv_gpu_power_usage{{{_OF}}})", "{{pod}} used"),
            Query(f"max by (pod, gpu_uuid) (nv_gpu_power_limit{{{_OF}}})", "{{pod}} limit"),
        ),
        row("The agent"),
        lines(
            "Loaded versions of actors",
            "GENERATOR_MAX_ACTORS is the limit of each pod.",
            "short",
            Query('sum by (pod) (dance_generator_loaded_versions{namespace="$namespace"})', "{{pod}}"),
        ),
        lines(
            "Canaries",
            "Pictures asked for as a proof of life.",
            "short",
            Query(
                'sum by (outcome) (increase(dance_generator_canaries_total{namespace="$namespace"}[$__rate_interval]))',
                "{{outcome}}",
            ),
        ),
        lines(
            "Healings",
            "An actor was loaded again, or Triton started again.",
            "short",
            Query(
                'sum by (by) (increase(dance_generator_healings_total{namespace="$namespace"}[$__rate_interval]))',
                "{{by}}",
            ),
        ),
    ),
)
