"""Content Credentials (C2PA): signed statements in video and picture files about who made them, how, and from what."""
