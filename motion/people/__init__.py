"""Several people in one picture: who is who from frame to frame, and which one is the dancer."""
