"""Clips that are danced whole, and recordings of live sessions: kept for a while for the visitor who owns them."""
