"""Who may do what: visitors, tickets, origins, limits, and the way to the orchestrator."""
