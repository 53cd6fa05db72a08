"""What footage shows of a person, and what it lacks, in words that a person can film by."""
