"""Networks of the other backends: model cards, downloaded files, runtimes."""
