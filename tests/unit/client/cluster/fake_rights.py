"""The rights that the Roles of deploy/60-training-access.yaml grant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class Refused(Exception):
    """An error answer with a Status."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


class Rights:
    """The rights of one service account. `withdraw` a Role to see what it was for."""

    def __init__(self, root: Path, user: str) -> None:
        self.user = user
        documents = list(yaml.safe_load_all((root / "deploy" / "60-training-access.yaml").read_text()))
        roles = {one["metadata"]["name"]: one["rules"] for one in documents if one["kind"] == "Role"}
        namespace, account = user.split(":")[-2:]
        self.rules: dict[str, list[dict[str, Any]]] = {
            binding["roleRef"]["name"]: roles[binding["roleRef"]["name"]]
            for binding in documents
            if binding["kind"] == "RoleBinding"
            and {"kind": "ServiceAccount", "name": account, "namespace": namespace} in binding["subjects"]
        }
        self.used: set[tuple[str, str]] = set()

    def withdraw(self, role: str) -> None:
        """Remove a Role."""
        del self.rules[role]

    def granted(self) -> set[tuple[str, str]]:
        """Every granted verb on every resource."""
        rules = [rule for role in self.rules.values() for rule in role]
        return {(verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"]}

    def check(self, verb: str, group: str, resource: str, name: str, namespace: str) -> None:
        """Raises Refused if no rule allows it."""
        self.used.add((verb, resource))
        for rule in (rule for role in self.rules.values() for rule in role):
            named = "resourceNames" not in rule or name in rule["resourceNames"]
            if group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"] and named:
                return
        what = f"{resource}.{group}" if group else resource
        raise Refused(
            403,
            "Forbidden",
            f'{what} "{name}" is forbidden: User "{self.user}" cannot {verb} resource "{resource}" in API group '
            f'"{group}" in the namespace "{namespace}"',
        )
