"""Calls to the stage services: connections, streams, retries and what their failures mean."""
