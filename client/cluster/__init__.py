"""Training jobs on a Kubernetes cluster: upload the footage, start the job, follow it."""
