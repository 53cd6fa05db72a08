"""The dashboard "Transfer": what clients get. Rate, errors, duration, then sessions and the processes behind them."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import Dashboard, Query, heat, lines, number, quantiles, row

_OF: Final = 'namespace="$namespace", pod=~"$pod"'
_IN: Final = 'namespace="$namespace"'

TRANSFER: Final = Dashboard(
    name="transfer",
    title="Dance: Transfer",
    description="What clients get: frames, how late, how many sessions, and what went wrong.",
    pods_with="dance_build_info",
    panels=(
        number("Sessions", "Open Transfer and FitBody streams.", "short", Query(f"sum(dance_sessions{{{_OF}}})")),
        number(
            "Places taken",
            "Open sessions of those that are admitted. At 100 % the next one is refused.",
            "percentunit",
            Query(f"sum(dance_sessions{{{_OF}}}) / sum(dance_session_capacity{{{_OF}}})"),
            warn=0.9,
        ),
        number(
            "Pictures a second",
            "Frames answered with a picture, of all sessions.",
            "short",
            Query(f'sum(rate(dance_frames_total{{{_OF}, result="picture"}}[$__rate_interval]))'),
        ),
        number(
            "Frames missed, 5 min",
            "Answered later than 0.25 s after their arrival, or dropped. The objective is 1 %.",
            "percentunit",
            Query(f"dance:frames_missed:ratio_rate5m{{{_IN}}}"),
            warn=0.01,
        ),
        number(
            "Targets up",
            "Processes whose metrics can be read, of those that were found.",
            "percentunit",
            Query(f"avg(up{{{_IN}}})"),
        ),
        number(
            "Alerts firing",
            "See docs/runbooks.md for each.",
            "short",
            Query('count(ALERTS{alertname=~"Dance.*", alertstate="firing"}) or vector(0)'),
            warn=1,
        ),
        row("Rate"),
        lines(
            "Frames by result",
            "no_person: nobody was seen. not_placed: somebody, whose whole body was not seen yet, and no source_body. "
            "dropped: a LIVE session gave it up for a newer one. bad_frame: refused.",
            "short",
            Query(f"sum by (result) (rate(dance_frames_total{{{_OF}}}[$__rate_interval]))", "{{result}}"),
            width=12,
            stacked=True,
        ),
        lines(
            "Remarks",
            "What happened to frames on their way, as in dance/v1/transfer.proto.",
            "short",
            Query(f"sum by (remark) (rate(dance_frame_remarks_total{{{_OF}}}[$__rate_interval]))", "{{remark}}"),
            width=12,
        ),
        row("Errors"),
        lines(
            "Ends of sessions",
            "finished and cancelled are the client's wish; stage_failed, stage_timeout and broken are not.",
            "short",
            Query(f"sum by (reason) (increase(dance_session_end_total{{{_OF}}}[$__rate_interval]))", "{{reason}}"),
        ),
        lines(
            "Failed attempts by stage",
            "Attempts that failed or took too long, of all. Most are repeated, and the client sees nothing of them.",
            "percentunit",
            Query(f"dance:stage_errors:ratio_rate5m{{{_IN}}}", "{{stage}}"),
            limit=0.05,
        ),
        lines(
            "Retries by stage",
            "Attempts that were repeated because the stage failed.",
            "short",
            Query(f"sum by (stage) (increase(dance_stage_retries_total{{{_OF}}}[$__rate_interval]))", "{{stage}}"),
        ),
        row("Duration"),
        lines(
            "From a frame's arrival to its answer",
            "A LOSSLESS session has six frames in flight and those of its look-ahead, so its frames also wait for "
            "each other.",
            "s",
            *quantiles("dance_frame_seconds", _OF),
            limit=0.25,
        ),
        heat("Where frames lie", "Answers by how long they took.", "dance_frame_seconds", _OF),
        lines(
            "Frames missed, by window",
            "The error budget is 1 %. Alerts fire where a long and a short window burn it together.",
            "percentunit",
            *(
                Query(f"dance:frames_missed:ratio_rate{window}{{{_IN}}}", window)
                for window in ("5m", "1h", "6h", "1d", "3d")
            ),
            limit=0.01,
        ),
        row("Sessions"),
        lines(
            "Sessions and places by pod",
            "The places are ORCHESTRATOR_MAX_SESSIONS of each orchestrator.",
            "short",
            Query(f"sum by (pod) (dance_sessions{{{_OF}}}) and sum by (pod) (dance_session_capacity > 0)", "{{pod}}"),
            Query(f"sum(dance_session_capacity{{{_OF}}})", "places"),
        ),
        lines(
            "Frames in flight",
            "Taken in and not yet answered.",
            "short",
            Query(f"sum(dance_frames_in_flight{{{_OF}}})", "in flight"),
        ),
        lines(
            "Refused for their token",
            "Calls without a valid token.",
            "short",
            Query(f"sum(increase(dance_unauthenticated_total{{{_OF}}}[$__rate_interval])) or vector(0)", "refused"),
        ),
        row("Processes"),
        lines(
            "Up",
            "1: the metrics of all processes of this kind can be read.",
            "short",
            Query(f"min by (job) (up{{{_IN}}})", "{{job}}"),
            width=6,
            largest=1,
        ),
        lines(
            "Stages reachable from the orchestrators",
            "0: an orchestrator has no connection to the stage.",
            "short",
            Query(f"min by (stage) (dance_stage_reachable{{{_OF}}})", "{{stage}}"),
            width=6,
            largest=1,
        ),
        lines(
            "Event loop lag, p99",
            "How much later than asked a timer fires. Something slow runs where only waiting should.",
            "s",
            Query(f"dance:event_loop_lag_seconds:p99_rate5m{{{_OF}}}", "{{job}} {{pod}}"),
            width=6,
            limit=0.1,
        ),
        lines(
            "Certificates expire in",
            "Of servers with TLS.",
            "s",
            Query(f"min by (job) (dance_tls_certificate_not_after_seconds{{{_OF}}} - time())", "{{job}}"),
            width=6,
        ),
    ),
)
