"""Several people in one video: tracks each person from frame to frame, and chooses the dancer."""
