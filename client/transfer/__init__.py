"""`dance transfer`: feeds a source to a session and writes the drawn pictures."""
