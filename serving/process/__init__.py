"""How a process starts, ends, keeps its memory small and writes files."""
