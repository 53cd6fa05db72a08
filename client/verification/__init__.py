"""Whether a file is marked as synthetic, and whether its use is allowed: for `dance verify` and for the page."""
