"""The sample dancer and the sample actor, drawn by this project itself."""
