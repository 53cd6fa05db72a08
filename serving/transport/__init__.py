"""How one process reaches another: addresses, TLS, proxies."""
