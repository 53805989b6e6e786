"""Version 1 of the echo service on the wire."""
