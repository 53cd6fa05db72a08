"""How a process starts and ends, limits its memory, retries and writes files."""
