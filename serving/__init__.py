"""How a process serves: settings, errors, gRPC servers, pictures and poses on the wire, metrics, actors, engines."""
