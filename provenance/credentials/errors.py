"""Why Content Credentials could not be written or read."""

from __future__ import annotations

from grpc import StatusCode

from serving.errors import DanceError


class CannotSign(DanceError):
    """A file could not get Content Credentials: the certificate is unusable, or the file cannot hold any."""

    code = StatusCode.FAILED_PRECONDITION


class UnreadableCredentials(DanceError):
    """A file cannot be searched for Content Credentials, because it cannot be read at all."""

    code = StatusCode.INVALID_ARGUMENT
