"""The settings of the orchestrator."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.settings import OrchestratorSettings
from serving.errors import BadSettings
from serving.process.settings import from_environment


def test_settings_come_from_the_environment() -> None:
    """Every field has its variable, with the type of the field."""
    settings = from_environment(
        OrchestratorSettings,
        "ORCHESTRATOR_",
        {
            "ORCHESTRATOR_POSE_ADDRESS": "localhost:1",
            "ORCHESTRATOR_ACTORS_ROOT": "there",
            "ORCHESTRATOR_POSE_SECONDS": "2",
        },
    )
    assert (settings.pose_address, settings.actors_root, settings.pose_seconds) == ("localhost:1", Path("there"), 2.0)


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
        ("MAX_SESSIONS_PER_CLIENT", "0"),
        ("TRITON_ADDRESS", ""),
        ("ALLOWED_WITHOUT_CONSENT", "anna, ../ben"),
        ("STAGE_KEY", "key.pem"),
        ("STAGE_CERTIFICATE", "certificate.pem"),
        ("JWT_KEYS_FILE", "keys.json"),
        ("JWT_AUDIENCE", "dance"),
        ("PORT", "70000"),
    ],
)
def test_nonsense_is_refused_by_name(name_and_value: tuple[str, str]) -> None:
    """An invalid value is refused with the field's name."""
    name, value = name_and_value
    with pytest.raises(BadSettings, match=name.lower()):
        from_environment(OrchestratorSettings, "ORCHESTRATOR_", {f"ORCHESTRATOR_{name}": value})


@pytest.mark.parametrize("name", ["POSE", "NORMALIZE", "FACE", "AGENT", "TRITON"])
def test_stages_elsewhere_are_not_called_in_plaintext_by_accident(name: str) -> None:
    """An address on another machine needs TLS, or an explicit setting for plaintext."""
    elsewhere = {f"ORCHESTRATOR_{name}_ADDRESS": "dns:///stage.example:1"}
    with pytest.raises(BadSettings, match=f"{name.lower()}_address dns:///stage.example:1 .* stage_insecure=true"):
        from_environment(OrchestratorSettings, "ORCHESTRATOR_", elsewhere)
    from_environment(OrchestratorSettings, "ORCHESTRATOR_", {**elsewhere, "ORCHESTRATOR_STAGE_INSECURE": "true"})
    from_environment(OrchestratorSettings, "ORCHESTRATOR_", {**elsewhere, "ORCHESTRATOR_STAGE_CA": "ca.pem"})


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.9.9.9:1", "unix:/run/pose"])
def test_what_never_leaves_the_machine_may_be_plaintext(address: str) -> None:
    """Loopback and Unix sockets need no TLS."""
    from_environment(OrchestratorSettings, "ORCHESTRATOR_", {"ORCHESTRATOR_POSE_ADDRESS": address})


def test_consents_must_be_stated_where_other_machines_call() -> None:
    """On loopback none has to be; elsewhere single actors may be named."""
    assert OrchestratorSettings().stated_except() is None
    assert OrchestratorSettings(host="0.0.0.0", insecure=True).stated_except() == frozenset()
    named = OrchestratorSettings(host="0.0.0.0", insecure=True, allowed_without_consent=" anna,ben, ")
    assert named.stated_except() == frozenset({"anna", "ben"})
