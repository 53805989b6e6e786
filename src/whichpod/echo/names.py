"""Names of the echo service on the wire (v1/echo.proto)."""

SERVICE = "whichpod.echo.v1.EchoService"
ECHO = f"/{SERVICE}/Echo"
SERVER_STREAM = f"/{SERVICE}/ServerStream"
CLIENT_STREAM = f"/{SERVICE}/ClientStream"
BIDI_STREAM = f"/{SERVICE}/BidiStream"
SERVER_ID_KEY, POD_KEY = "x-whichpod-server", "x-whichpod-pod"
"""Trailing metadata that says who answered or failed, to clients that don't read the messages."""
MOST_MESSAGES = 1_000_000
"""Answers that a ServerStream may ask for."""
