"""Transfers to poses that the footage lacks: made-up poses of the actor's own body, drawn and found again."""
