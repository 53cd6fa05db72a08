"""`dance prepare`, `dance train` and `dance evaluate` on this machine."""
