"""A TLS connection in a loop."""

from __future__ import annotations

import contextlib
import socket
import ssl

from whichpod.reactor.link import READ_SIZE, Link, Owner
from whichpod.reactor.loop import Loop

H2 = "h2"


class TlsLink:
    """As Link, over TLS. `on_open` comes after the handshake, and only where ALPN chose HTTP/2 (RFC 9113,
    section 3.2); what fails in the handshake ends it with the reason."""

    __slots__ = ("_finished", "_in", "_link", "_out", "_shaken", "_tls", "owner")

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        owner: Owner,
        context: ssl.SSLContext,
        *,
        server_name: str | None = None,
        server_side: bool = False,
        connected: bool = False,
    ) -> None:
        self.owner = owner
        self._shaken = self._finished = False
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._in, self._out, server_side=server_side, server_hostname=server_name
        )
        self._link = Link(loop, sock, self, connected=connected)

    @property
    def backlog(self) -> int:
        """Bytes that the kernel has not taken yet, encrypted."""
        return self._link.backlog

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._link.closed

    def pause(self) -> None:
        """Reads no more until `resume`."""
        self._link.pause()

    def resume(self) -> None:
        """Reads again."""
        self._link.resume()

    def send(self, data: bytes) -> None:
        """As Link.send; only after `on_open`."""
        if self._link.closed or not data:
            return
        self._tls.write(data)
        self._link.send(self._out.read())

    def finish(self) -> None:
        """As Link.finish, after close_notify. What still comes is thrown away, not decrypted."""
        if self._shaken and not self._finished and not self._link.closed:
            self._finished = True
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._link.send(self._out.read())
        self._link.finish()

    def close(self, *, flush: bool = False) -> None:
        """As Link.close; tells the peer by close_notify where the handshake was done."""
        if self._shaken and not self._finished and not self._link.closed:
            # The peer's own close_notify is not waited for.
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._link.send(self._out.read())
        self._link.close(flush=flush)

    # What the link below says.

    def on_open(self) -> None:
        """TCP is connected."""
        self._shake()

    def on_data(self, data: bytes) -> None:
        """Encrypted bytes came."""
        if self._finished:
            return
        self._in.write(data)
        if not self._shaken and not self._shake():
            return
        pieces = []
        ended = False
        try:
            while True:
                piece = self._tls.read(READ_SIZE)
                if not piece:
                    ended = True
                    break
                pieces.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            self._fail(error)
            return
        if self._out.pending:
            self._link.send(self._out.read())
        if pieces:
            self.owner.on_data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended and not self._link.closed:
            self._link.close()
            self.owner.on_end("")

    def on_drain(self) -> None:
        """All is with the kernel."""
        if self._shaken:
            self.owner.on_drain()

    def on_end(self, reason: str) -> None:
        """TCP is over."""
        if not self._shaken:
            reason = reason or "the peer hung up during the TLS handshake"
        self.owner.on_end(reason)

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._link.send(self._out.read())
            return False
        except ssl.SSLError as error:
            self._fail(error)
            return False
        if self._out.pending:
            self._link.send(self._out.read())
        if self._tls.selected_alpn_protocol() != H2:
            self._link.close(flush=True)
            self.owner.on_end("TLS without HTTP/2: ALPN did not agree on h2")
            return False
        self._shaken = True
        self.owner.on_open()
        return not self._link.closed

    def _fail(self, error: ssl.SSLError) -> None:
        # An alert for the peer may be waiting.
        self._link.send(self._out.read())
        self._link.close(flush=True)
        self.owner.on_end(described(error))


def described(error: ssl.SSLError) -> str:
    """What TLS found wrong, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate does not verify: {error.verify_message}"
    return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
