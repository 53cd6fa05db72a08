"""Draws the sample dancers: choreography, body, light and camera."""
