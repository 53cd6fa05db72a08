"""From footage to arrays: poses, checks, plate, masks, crops. `prepare.prepare` runs all of it."""
