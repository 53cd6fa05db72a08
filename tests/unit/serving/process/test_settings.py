"""Settings are read from the environment, and errors name the variable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from serving.errors import BadSettings
from serving.process.settings import from_environment


@dataclass(frozen=True, kw_only=True)
class Example:
    """Settings of nothing."""

    port: int = 1
    share: float = 0.5
    folder: Path = Path("here")
    loud: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.port < 0:
            raise ValueError(f"port must not be negative, got {self.port}")


def test_every_field_is_a_variable():
    """Each field is read from its variable, in its own type."""
    environment = {
        "X_PORT": "7",
        "X_SHARE": "0.25",
        "X_FOLDER": "there",
        "X_LOUD": "yes",
        "X_LIMIT": "3",
        "Y_PORT": "8",
    }
    assert from_environment(Example, "X_", environment) == Example(
        port=7, share=0.25, folder=Path("there"), loud=True, limit=3
    )


def test_an_empty_optional_is_none():
    """An empty value unsets an optional setting."""
    assert from_environment(Example, "X_", {"X_LIMIT": ""}).limit is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [("X_PORT", "many"), ("X_SHARE", "half"), ("X_LOUD", "perhaps"), ("X_PROT", "1"), ("X_PORT", "-1")],
)
def test_nonsense_is_refused_by_name(variable: str, value: str):
    """A wrong type, a misspelt name and a refused value each raise BadSettings with the variable's name."""
    with pytest.raises(BadSettings, match=r"X_|port"):
        from_environment(Example, "X_", {variable: value})


def test_what_kubernetes_sets_for_a_service_is_passed_over():
    """A Service named x gives every pod X_SERVICE_HOST and the like, which are not settings."""
    environment = {"X_SERVICE_HOST": "10.0.0.1", "X_SERVICE_PORT_GRPC": "1", "X_PORT_1_TCP": "tcp://10.0.0.1:1"}
    assert from_environment(Example, "X_", environment) == Example()
