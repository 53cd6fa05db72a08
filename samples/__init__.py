"""The sample dancer and the sample actor, both rendered by this project."""
