"""The echo service: every answer says who answered."""
