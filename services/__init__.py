"""The services, each a process of its own."""

import serving  # noqa: F401 - it provides a home, before MediaPipe and OpenVINO look for one
