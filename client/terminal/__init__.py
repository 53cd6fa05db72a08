"""What every command shares with its user: progress display, signals, output files."""
