"""`dance doctor`: checks the installation, the environment and a server."""
