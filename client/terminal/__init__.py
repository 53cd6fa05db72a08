"""Display, signals and output files, which every command uses."""
