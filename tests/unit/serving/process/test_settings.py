"""Settings are read from the environment, and errors name the variable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from serving.errors import BadSettings
from serving.process.settings import (
    NOT_NEGATIVE,
    AtLeastOne,
    FinitePositive,
    Port,
    Positive,
    check,
    from_environment,
    one_of,
)


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


@dataclass(frozen=True, kw_only=True)
class Limited:
    """Settings whose types limit their values."""

    threads: AtLeastOne = 1
    port: Port = 0
    wait_seconds: Positive = 1.0
    end_seconds: FinitePositive = 1.0
    pause_seconds: Annotated[float, NOT_NEGATIVE] = 0.0
    device: Literal["cpu", "gpu"] = "cpu"
    backend: Annotated[str, one_of("a", "b", "c")] = "a"

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("threads", "0", "threads must be at least 1, got 0"),
        ("port", "65536", "port must lie in 0 to 65535, got 65536"),
        ("wait_seconds", "nan", "wait_seconds must be positive, got nan"),
        ("end_seconds", "inf", "end_seconds must be positive, got inf"),
        ("pause_seconds", "-1", "pause_seconds must not be negative, got -1.0"),
        ("device", "tpu", "device must be cpu or gpu, got 'tpu'"),
        ("backend", "d", "backend must be a, b or c, got 'd'"),
    ],
)
def test_a_value_beyond_the_limit_of_its_type_is_refused(field: str, text: str, message: str):
    """A type can limit a setting; the error has the field, the limit and the value."""
    with pytest.raises(BadSettings, match=message):
        from_environment(Limited, "X_", {f"X_{field.upper()}": text})
    assert from_environment(Limited, "X_", {"X_WAIT_SECONDS": "inf", "X_DEVICE": "gpu"}).device == "gpu"
