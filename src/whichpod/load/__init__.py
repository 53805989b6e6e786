"""The load engine: sockets, pacing and workers over the HTTP/2 core."""
