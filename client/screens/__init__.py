"""Where the pictures of a live session are shown: a window, a stream over HTTP, a virtual camera."""
