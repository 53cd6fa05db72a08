"""README and documentation match the code: the example and the settings."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from orchestrator.settings import OrchestratorSettings
from services.generator.settings import GeneratorSettings
from serving.rpc.server import ServerSettings


def test_the_readme_shows_the_tested_example(root: Path):
    """The client in the README is identical to the example file, which another test runs."""
    shown = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), flags=re.DOTALL)
    assert shown == [(root / "examples" / "transfer_client.py").read_text()]


def test_the_security_page_names_existing_settings(root: Path):
    """Every variable on the page is a setting, and the page names all security settings of the orchestrator."""
    text = (root / "docs" / "security.md").read_text()
    known = {
        "*": {field.name.upper() for field in fields(ServerSettings)},
        "ORCHESTRATOR": {field.name.upper() for field in fields(OrchestratorSettings)},
        "GENERATOR": {field.name.upper() for field in fields(GeneratorSettings)},
    }
    named = re.findall(r"`(\*|ORCHESTRATOR|GENERATOR)_([A-Z_]+)", text)
    assert named
    for prefix, name in named:
        assert name in known[prefix], f"{prefix}_{name} is not a setting"
    for field in fields(OrchestratorSettings):
        if re.match(r"tls_|insecure|stage_(?!insecure)|tokens_|jwt_", field.name):
            assert re.search(rf"_{field.name.upper()}\b", text), f"docs/security.md does not mention {field.name}"
