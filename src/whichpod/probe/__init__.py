"""Clients on real grpcio channels: RPCs, who answered them, and over which connections."""
