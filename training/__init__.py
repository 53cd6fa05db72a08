"""Training: footage of a person in, a served actor out."""

import os

# OpenMP reads this when torch is imported: threads that spin while waiting slow down everything else on shared cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
