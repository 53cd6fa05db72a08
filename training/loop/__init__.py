"""The training loop: learners for body and face, budgets, batches, divergence."""
