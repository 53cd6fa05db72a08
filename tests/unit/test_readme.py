"""What the README shows is what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from orchestrator.settings import OrchestratorSettings
from services.generator.settings import GeneratorSettings
from serving.rpc.server import ServerSettings


def test_the_readme_shows_the_example_as_it_is(root: Path):
    """The client in the README is the file that a test runs."""
    shown = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), flags=re.DOTALL)
    assert shown == [(root / "examples" / "transfer_client.py").read_text()]


def test_the_page_on_security_names_settings_that_exist(root: Path):
    """Every variable that it names is a field, and the orchestrator's fields for security are all named."""
    text = (root / "docs" / "security.md").read_text()
    known = {
        "*": {field.name.upper() for field in fields(ServerSettings)},
        "ORCHESTRATOR": {field.name.upper() for field in fields(OrchestratorSettings)},
        "GENERATOR": {field.name.upper() for field in fields(GeneratorSettings)},
    }
    named = re.findall(r"`(\*|ORCHESTRATOR|GENERATOR)_([A-Z_]+)", text)
    assert named
    for prefix, name in named:
        assert name in known[prefix], f"{prefix}_{name} is no setting"
    for field in fields(OrchestratorSettings):
        if re.match(r"tls_|insecure|stage_(?!insecure)|tokens_|jwt_", field.name):
            assert re.search(rf"_{field.name.upper()}\b", text), f"{field.name} is not named"
