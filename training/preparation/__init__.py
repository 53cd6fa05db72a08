"""Footage to arrays: poses, checks, plate, masks, crops. `prepare.prepare` runs it all."""
