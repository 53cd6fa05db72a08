"""How a process serves: settings, errors, gRPC servers, pictures and poses on the wire, metrics, actors, engines."""

import os

from serving.process.home import provide_home

# Before a library of others is imported: several look for the user's home then. Every process of ours comes by here.
provide_home(os.environ, os.getuid())
