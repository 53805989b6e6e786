"""The echo service over our own HTTP/2 core: the same answers as the grpcio server's, at a small part of its
cost, and any number of pods in one process."""
