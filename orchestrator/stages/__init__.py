"""The stages of the pipeline, one module each; all implement `orchestrator.pipeline.play.Stage`."""
