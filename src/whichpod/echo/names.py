"""Names of the echo service on the wire (v1/echo.proto)."""

SERVICE = "whichpod.echo.v1.EchoService"
ECHO = f"/{SERVICE}/Echo"
SERVER_STREAM = f"/{SERVICE}/ServerStream"
CLIENT_STREAM = f"/{SERVICE}/ClientStream"
BIDI_STREAM = f"/{SERVICE}/BidiStream"
