"""The services; each runs in its own process."""

import serving  # noqa: F401 - it provides a home, before MediaPipe and OpenVINO look for one
