"""One module per stage; each implements `orchestrator.pipeline.play.Stage`."""
