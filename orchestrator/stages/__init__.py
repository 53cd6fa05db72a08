"""One module per stage, all behind `orchestrator.pipeline.Stage`, and the two ends of the wire they talk through."""
