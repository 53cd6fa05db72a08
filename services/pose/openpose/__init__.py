"""The `openpose` pose backend: heat maps and part affinity fields, grouped into people."""
