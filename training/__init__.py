"""Training: footage of a person in, a served actor out."""

import os

# Read by OpenMP when torch is imported: threads that spin while they wait slow down everything else on shared cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
