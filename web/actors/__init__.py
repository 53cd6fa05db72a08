"""What the page's cards show: the actors of the orchestrator, and their previews."""
