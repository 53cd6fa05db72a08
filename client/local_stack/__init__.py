"""All processes of the pipeline, started on this machine for one command or for `dance up`."""
