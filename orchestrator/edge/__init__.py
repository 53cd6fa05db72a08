"""The side that faces the client: messages, tokens, admission, one log record per session."""
