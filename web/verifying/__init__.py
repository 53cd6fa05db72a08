"""A visitor's file, checked for marks that say it is synthetic."""
