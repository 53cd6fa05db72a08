"""What the orchestrator can be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.settings import OrchestratorSettings
from serving.errors import BadSettings
from serving.settings import from_environment


def test_settings_come_from_the_environment() -> None:
    """Every field has its variable, with the type of the field."""
    settings = from_environment(
        OrchestratorSettings,
        "ORCHESTRATOR_",
        {"ORCHESTRATOR_POSE_ADDRESS": "pose:1", "ORCHESTRATOR_ACTORS_ROOT": "there", "ORCHESTRATOR_POSE_SECONDS": "2"},
    )
    assert (settings.pose_address, settings.actors_root, settings.pose_seconds) == ("pose:1", Path("there"), 2.0)


@pytest.mark.parametrize(
    "name_and_value",
    [
        ("MAX_SESSIONS", "0"),
        ("LABEL_MAP_THREADS", "0"),
        ("ENCODE_THREADS", "0"),
        ("MAX_FRAME_BYTES", "16777216"),
        ("RENEW_ACTOR_SECONDS", "0"),
        ("MAX_LOOK_AHEAD_FRAMES", "-1"),
        ("POSE_SECONDS", "0"),
        ("IDLE_SECONDS", "nan"),
        ("TRITON_ADDRESS", ""),
        ("PORT", "70000"),
    ],
)
def test_nonsense_is_refused_by_name(name_and_value: tuple[str, str]) -> None:
    """A value that makes no sense is refused with the field's name."""
    name, value = name_and_value
    with pytest.raises(BadSettings, match=name.lower()):
        from_environment(OrchestratorSettings, "ORCHESTRATOR_", {f"ORCHESTRATOR_{name}": value})
