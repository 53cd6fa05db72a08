"""gRPC servers and calls: health, errors as statuses, streams, and message converters."""
