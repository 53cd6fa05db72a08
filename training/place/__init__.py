"""The place without the person: holes filled from the rest of it, and a camera that moves a little held still."""
