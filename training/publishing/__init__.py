"""From a checkpoint to a served version: export, quality gate, publication."""
