"""gRPC servers and calls: health, errors as statuses, streams, conversion of messages."""
