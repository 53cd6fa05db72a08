"""Actors on disk: their files, the store, and which version is served."""
