"""The `dance` command line: starts a stack, transfers videos, trains actors."""
