"""Actors on disk: their documents, the store, and which version is served."""
