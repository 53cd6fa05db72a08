"""The dashboard "Transfer": rate, errors and duration as clients see them, then sessions and processes."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import NAMESPACE, PODS, board, heat, lines, number, quantiles, query, row

TRANSFER: Final = board(
    name="transfer",
    title="Dance: Transfer",
    description="The service as clients see it: frames, latency, sessions and errors.",
    pods_with="dance_build_info",
    panels=(
        number("Sessions", "Open Transfer and FitBody streams.", "short", query(f"sum(dance_sessions{{{PODS}}})")),
        number(
            "Places taken",
            "Open sessions as a share of the limit. At 100 %, the next session is refused.",
            "percentunit",
            query(f"sum(dance_sessions{{{PODS}}}) / sum(dance_session_capacity{{{PODS}}})"),
            warn=0.9,
        ),
        number(
            "Pictures a second",
            "Frames answered with a picture, in all sessions.",
            "short",
            query(f'sum(rate(dance_frames_total{{{PODS}, result="picture"}}[$__rate_interval]))'),
        ),
        number(
            "Frames missed, 5 min",
            "Frames answered more than 0.25 s after their arrival, or dropped. The objective is 1 %.",
            "percentunit",
            query(f"dance:frames_missed:ratio_rate5m{{{NAMESPACE}}}"),
            warn=0.01,
        ),
        number(
            "Targets up",
            "Share of the discovered processes whose metrics can be scraped.",
            "percentunit",
            query(f"avg(up{{{NAMESPACE}}})"),
        ),
        number(
            "Alerts firing",
            "docs/runbooks.md has a runbook for each alert.",
            "short",
            query('count(ALERTS{alertname=~"Dance.*", alertstate="firing"}) or vector(0)'),
            warn=1,
        ),
        row("Rate"),
        lines(
            "Frames by result",
            "no_person: no person in the frame. not_placed: a person whose whole body was not visible yet, without "
            "source_body. dropped: a LIVE session skipped the frame for a newer one. bad_frame: the frame was refused.",
            "short",
            query(f"sum by (result) (rate(dance_frames_total{{{PODS}}}[$__rate_interval]))", "{{result}}"),
            stacked=True,
        ),
        lines(
            "Marked pictures",
            "Pictures of actors by what marks them as synthetic. none: the server's watermark is switched off.",
            "short",
            query(f"sum by (mark) (rate(dance_marked_frames_total{{{PODS}}}[$__rate_interval]))", "{{mark}}"),
        ),
        lines(
            "Remarks",
            "Remarks on answered frames; dance/v1/transfer.proto describes each.",
            "short",
            query(f"sum by (remark) (rate(dance_frame_remarks_total{{{PODS}}}[$__rate_interval]))", "{{remark}}"),
        ),
        row("Adaptive live sessions"),
        lines(
            "Pictures by pose detail and height",
            "What adaptive LIVE sessions draw. Less detail and lower pictures: the machine cannot hold the rate.",
            "short",
            query(
                f"sum by (detail, height_px) (rate(dance_rung_pictures_total{{{PODS}}}[$__rate_interval]))",
                "{{detail}}, {{height_px}} px",
            ),
            width=12,
            stacked=True,
        ),
        lines(
            "Steps",
            "How often adaptive LIVE sessions stepped down, and up again.",
            "short",
            query(
                f"sum by (direction) (increase(dance_rung_changes_total{{{PODS}}}[$__rate_interval]))", "{{direction}}"
            ),
            width=12,
        ),
        row("Errors"),
        lines(
            "Ends of sessions",
            "The client chose finished and cancelled; stage_failed, stage_timeout and broken are failures.",
            "short",
            query(f"sum by (reason) (increase(dance_session_end_total{{{PODS}}}[$__rate_interval]))", "{{reason}}"),
        ),
        lines(
            "Refused for consent",
            "Sessions that were refused or that ended because no consent allows the actor. docs/runbooks.md has the "
            "reasons, and what to do.",
            "short",
            query(f"sum by (reason) (increase(dance_consent_refused_total{{{PODS}}}[$__rate_interval]))", "{{reason}}"),
        ),
        lines(
            "Failed attempts by stage",
            "Share of attempts that failed or timed out. Most are retried, and the client does not notice.",
            "percentunit",
            query(f"dance:stage_errors:ratio_rate5m{{{NAMESPACE}}}", "{{stage}}"),
            limit=0.05,
        ),
        lines(
            "Retries by stage",
            "Attempts that were retried because the stage failed.",
            "short",
            query(f"sum by (stage) (increase(dance_stage_retries_total{{{PODS}}}[$__rate_interval]))", "{{stage}}"),
        ),
        row("Duration"),
        lines(
            "From a frame's arrival to its answer",
            "A LOSSLESS session has six frames plus its look-ahead in flight, so its frames also wait for each other.",
            "s",
            *quantiles("dance_frame_seconds", PODS),
            limit=0.25,
        ),
        heat("Distribution of answer times", "Answers by how long they took.", "dance_frame_seconds", PODS),
        lines(
            "Frames missed, by window",
            "The error budget is 1 %. Alerts fire when a long and a short window both burn it too fast.",
            "percentunit",
            *(
                query(f"dance:frames_missed:ratio_rate{window}{{{NAMESPACE}}}", window)
                for window in ("5m", "1h", "6h", "1d", "3d")
            ),
            limit=0.01,
        ),
        row("Sessions"),
        lines(
            "Sessions and places by pod",
            "Each orchestrator has ORCHESTRATOR_MAX_SESSIONS places.",
            "short",
            query(f"sum by (pod) (dance_sessions{{{PODS}}}) and sum by (pod) (dance_session_capacity > 0)", "{{pod}}"),
            query(f"sum(dance_session_capacity{{{PODS}}})", "places"),
            width=6,
        ),
        lines(
            "Frames in flight",
            "Accepted and not yet answered.",
            "short",
            query(f"sum(dance_frames_in_flight{{{PODS}}})", "in flight"),
            width=6,
        ),
        lines(
            "Wardrobes in memory",
            "Of actors that sessions draw, and of those that sessions drew before. Sessions of a version share one.",
            "bytes",
            query(f"sum by (pod) (dance_wardrobe_bytes{{{PODS}}})", "{{pod}}"),
            width=6,
        ),
        lines(
            "Rejected tokens",
            "Calls without a valid token.",
            "short",
            query(f"sum(increase(dance_unauthenticated_total{{{PODS}}}[$__rate_interval])) or vector(0)", "rejected"),
            width=6,
        ),
        row("The page"),
        lines(
            "Live sessions of browsers",
            "At WEB_MAX_LIVE_SESSIONS, the next one is refused.",
            "short",
            query(f"sum(dance_web_live_sessions{{{PODS}}})", "live sessions"),
            width=6,
        ),
        lines(
            "Frames from browsers",
            "pose: found in the browser. picture: found by the server. skipped: a newer frame replaced it.",
            "short",
            query(f"sum by (sent) (rate(dance_web_live_frames_total{{{PODS}}}[$__rate_interval]))", "{{sent}}"),
            query(f"sum(rate(dance_web_live_skipped_frames_total{{{PODS}}}[$__rate_interval]))", "skipped"),
            width=6,
        ),
        lines(
            "Refused requests",
            "By reason. docs/troubleshooting.md explains those that visitors see.",
            "short",
            query(f"sum by (reason) (increase(dance_web_refusals_total{{{PODS}}}[$__rate_interval]))", "{{reason}}"),
            width=6,
        ),
        lines(
            "Dances of clips, recordings",
            "Those that ended, by state, and those that wait in the queue now.",
            "short",
            query(f"sum by (state) (increase(dance_web_dances_ended_total{{{PODS}}}[$__rate_interval]))", "{{state}}"),
            query(f"sum(dance_web_dances_waiting{{{PODS}}})", "waiting"),
            width=6,
        ),
        row("Processes"),
        lines(
            "Up",
            "1: the metrics of all processes of this kind can be scraped.",
            "short",
            query(f"min by (job) (up{{{NAMESPACE}}})", "{{job}}"),
            width=6,
            largest=1,
        ),
        lines(
            "Stages reachable from the orchestrators",
            "0: an orchestrator has no connection to the stage.",
            "short",
            query(f"min by (stage) (dance_stage_reachable{{{PODS}}})", "{{stage}}"),
            width=6,
            largest=1,
        ),
        lines(
            "Event loop lag, p99",
            "How late timers fire. A high value means that slow work blocks the event loop.",
            "s",
            query(f"dance:event_loop_lag_seconds:p99_rate5m{{{PODS}}}", "{{job}} {{pod}}"),
            width=6,
            limit=0.1,
        ),
        lines(
            "Certificates expire in",
            "Servers with TLS.",
            "s",
            query(f"min by (job) (dance_tls_certificate_not_after_seconds{{{PODS}}} - time())", "{{job}}"),
            width=6,
        ),
    ),
)
