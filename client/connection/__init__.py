"""A `Transfer` session from the client: messages, access to the server, retries and resuming."""
