"""The `dance` command line: one module per group of sub-commands, each a thin layer over the other rooms."""
