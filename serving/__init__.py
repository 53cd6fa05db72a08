"""What every process needs to serve: settings, errors, gRPC, pictures, metrics, actors and inference engines."""

import os

from serving.process.home import provide_home

# Several third-party libraries look for the user's home when they are imported. Every process imports this first.
provide_home(os.environ, os.getuid())
