"""Pictures as bytes: JPEG and PNG, decoded within limits."""
