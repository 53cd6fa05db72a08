"""Inference on this machine: OpenVINO on a CPU, PyTorch on a GPU."""
