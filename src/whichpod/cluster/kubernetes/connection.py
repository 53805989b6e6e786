"""The way to an API server: credentials by kr8s, and requests that are tried again where that is safe."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from whichpod.cluster.kubernetes.errors import Request, UnreachableError, refused
from whichpod.model.errors import ClusterError, MissingExtraError, UsageError
from whichpod.model.text import printable

if TYPE_CHECKING:
    import httpx
    from kr8s.asyncio import Api as Kr8sApi

PATIENCE_S = 30.0
"""How long a request is tried again, from its first failure."""
ANSWER_S = 30.0
"""How long an answer may take; a webhook of the cluster's may use that."""
CONNECT_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 3.0
SAID_S = 0.8
"""A pause that is worth a word."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""What a pod has of its service account (kubernetes.io, Accessing the API from a Pod)."""
_FOR_A_WHILE = frozenset({429, 500, 502, 503, 504})
"""Statuses of a server that may do better in a moment."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    body: bytes

    @property
    def said(self) -> str:
        """The body's beginning, as text."""
        return printable(self.body.decode(errors="replace"), 80)

    def json(self) -> Any:
        """The body as JSON. Raises ClusterError where it is none: that was no API server."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise ClusterError(
                f"What answers is no Kubernetes API server: {self.said}",
                fix="Is there a proxy, or a log-in page, in between? See the server in your kubeconfig.",
            ) from None


class Connection:
    """One cluster, one user. `open` it, then `close` it."""

    def __init__(self, api: Kr8sApi, where: str, namespace: str, patience_s: float) -> None:
        self.kr8s = api
        self.where = where
        """The context's name and the server, without credentials."""
        self.namespace = namespace
        """The context's own."""
        self.patience_s = patience_s
        self.says: Callable[[str], None] = lambda _: None
        """Told why nothing happens, where that takes more than a moment."""
        self._logging_in = asyncio.Lock()
        self._logins = 0

    @classmethod
    async def open(
        cls, kubeconfig: str | None, context: str | None, namespace: str | None, patience_s: float
    ) -> Connection:
        """Reads the credentials; sends nothing yet.

        Raises UsageError for a kubeconfig or a context that isn't there, ClusterError for credentials that
        can't be got, MissingExtraError without kr8s.
        """
        try:
            import kr8s.asyncio
        except ModuleNotFoundError:
            raise MissingExtraError("The Kubernetes client (kr8s)", "k8s") from None
        paths = _kubeconfig(kubeconfig)
        if not paths and not _in_cluster():
            asked = os.environ.get("KUBECONFIG") or "~/.kube/config"
            raise ClusterError(
                f"There is no kubeconfig ({asked}), and this is no pod with a service account.",
                fix="Name one with --kubeconfig, or set KUBECONFIG.",
            )
        try:
            # Not by the factory, which asks the server for its version and hides what it says.
            api = kr8s.asyncio.Api(
                bypass_factory=True,
                url=None,
                kubeconfig=paths or None,
                serviceaccount="" if paths else str(SERVICE_ACCOUNT),
                namespace=None,
                context=context or None,
            )
            try:
                await api.auth.reauthenticate()
                await api._create_session()
            finally:
                _forget_files(api)
        except Exception as e:
            raise _no_credentials(e, paths, context) from None
        auth = api.auth
        name = auth.active_context or "in-cluster"
        own = namespace or (_own_namespace() if not auth.active_context else auth.namespace)
        return cls(api, f"{name} ({_bare(auth.server)})", own, patience_s)

    async def close(self) -> None:
        """Ends all connections."""
        if (session := self.kr8s._session) is not None:
            with contextlib.suppress(RuntimeError):
                await session.aclose()

    async def send(
        self,
        method: str,
        path: str,
        request: Request,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        again: bool = True,
        patience_s: float | None = None,
        away_s: float | None = None,
        also: tuple[int, ...] = (),
    ) -> Answer:
        """One request, tried again with growing pauses while the server limits it, fails or is away (then for
        `away_s`, if that is given).

        With `again=False` only where it is certain that the server did nothing: when it limits, or no
        connection comes about. `also`: statuses of 400 and more that the caller wants to see.
        Raises ApiError for other such statuses, UnreachableError when patience is over.
        """
        import httpx

        patience = self.patience_s if patience_s is None else patience_s
        began, pause, logins = None, FIRST_PAUSE_S, self._logins
        renewed = False
        while True:
            wait = pause
            why: str | None
            error: ClusterError
            try:
                async with self._call(method, path, params, body, content_type) as response:
                    answer = Answer(response.status_code, await response.aread())
                    if answer.status < 400 or answer.status in also:
                        return answer
                    error = refused(answer.status, answer.body, request)
                    if answer.status == 401 and not renewed:
                        renewed = True
                        await self._log_in(logins)
                        continue
                    if answer.status not in _FOR_A_WHILE or not (again or answer.status == 429):
                        raise error
                    wait = max(pause, _retry_after(response.headers.get("retry-after", "")))
                    why = None
            except httpx.TransportError as e:
                if not again and not isinstance(e, httpx.ConnectError | httpx.ConnectTimeout):
                    raise self.unreachable(e, request) from None
                error, why = self.unreachable(e, request), str(e)
            now = time.monotonic()
            began = began or now
            within = patience if why is None or away_s is None else away_s
            if now + wait > began + within or (why is not None and _hopeless(why)):
                raise error
            if wait >= SAID_S:
                what = f"is asked again in {wait:.0f} s" if why is None else "can't be reached; trying again"
                self.says(f"the API server {what}")
            await asyncio.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    @asynccontextmanager
    async def stream(
        self, path: str, request: Request, params: Mapping[str, str], *, silence_s: float
    ) -> AsyncIterator[httpx.Response]:
        """A response that goes on. Raises ApiError for a status of 400 and more; httpx's errors otherwise."""
        async with self._call(
            "GET", path, params, None, "application/json", stream=True, read_s=silence_s
        ) as response:
            if response.status_code >= 400:
                raise refused(response.status_code, await response.aread(), request)
            yield response

    def unreachable(self, error: Exception, request: Request) -> UnreachableError:
        """The error for a connection that failed."""
        why = printable(str(error)) or type(error).__name__
        return UnreachableError(
            f"The API server of {self.where} can't be reached (to {request}): {why}.",
            fix="Is the cluster up, and is this the right context? `kubectl get --raw /readyz` asks it too.",
        )

    @asynccontextmanager
    async def _call(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: object,
        content_type: str,
        *,
        stream: bool = False,
        read_s: float = ANSWER_S,
    ) -> AsyncIterator[httpx.Response]:
        import httpx

        base, _, rest = path.rpartition("/")
        if not base:
            base, rest = path, ""
        more: dict[str, Any] = {}
        if body is not None:
            more = {"content": json.dumps(body).encode(), "headers": {"content-type": content_type}}
        limit = httpx.Timeout(ANSWER_S, connect=CONNECT_S, read=read_s)
        import kr8s

        try:
            async with self.kr8s.call_api(
                method,
                version="",
                base=base,
                url=rest,
                raise_for_status=False,
                stream=stream,
                params=dict(params or {}),
                timeout=limit,
                **more,
            ) as response:
                yield response
        except kr8s.APITimeoutError as e:
            raise httpx.ReadTimeout(f"no answer within {read_s:g} s") from e

    async def _log_in(self, logins: int) -> None:
        """Gets the credentials anew, once for all who were refused with the old ones."""
        async with self._logging_in:
            if self._logins != logins:
                return
            self._logins += 1
            try:
                await self.kr8s.auth.reauthenticate()
                await self.kr8s._create_session()
            except Exception as e:
                raise _no_credentials(e, "", None) from None
            finally:
                _forget_files(self.kr8s)


_DATA = {
    "client_key_file": "client-key-data",
    "client_cert_file": "client-certificate-data",
    "server_ca_file": "certificate-authority-data",
}


def _forget_files(api: Kr8sApi) -> None:
    """kr8s writes keys from a kubeconfig into files and leaves them; once read, nobody needs them."""
    auth = api.auth
    for name, key in _DATA.items():
        file = getattr(auth, name)
        if file and (key in getattr(auth, "_user", {}) or key in auth._cluster):
            Path(file).unlink(missing_ok=True)


def _in_cluster() -> bool:
    return SERVICE_ACCOUNT.is_dir()


def _kubeconfig(given: str | None) -> str:
    """The files, with ':' between them; empty for none. Raises UsageError where the given one is none."""
    if given:
        if not Path(given).expanduser().is_file():
            what = "no file" if Path(given).expanduser().exists() else "not there"
            raise UsageError(f"The kubeconfig {given} is {what}.", fix="Name a file with --kubeconfig.")
        return str(Path(given).expanduser())
    named = os.environ.get("KUBECONFIG", "")
    files = [Path(p).expanduser() for p in named.split(os.pathsep) if p] or [
        Path("~/.kube/config").expanduser()
    ]
    return os.pathsep.join(str(f) for f in files if f.is_file())


def _no_credentials(error: Exception, paths: str, context: str | None) -> ClusterError | UsageError:
    from yaml import YAMLError

    text = printable(str(error)) or type(error).__name__
    if context and "No such context" in text:
        return UsageError(
            f"There is no context {context!r} in {paths}.", fix="See them: kubectl config get-contexts"
        )
    if isinstance(error, FileNotFoundError):
        return ClusterError(
            f"The kubeconfig's user logs in with a program that isn't there: {text}.",
            fix="Install it, as kubectl would need it too.",
        )
    if isinstance(error, TypeError | AttributeError | YAMLError):
        # No YAML, or no mapping of lists of mappings.
        why = f": {text}" if isinstance(error, YAMLError) else ""
        return ClusterError(
            f"{paths} is no kubeconfig{why}.", fix="Is it the right file? Compare: kubectl config view"
        )
    if isinstance(error, KeyError | IndexError):
        return ClusterError(
            f"The kubeconfig {paths} lacks what it needs: {type(error).__name__} {text}.",
            fix="It needs a context with a cluster and a user: kubectl config view",
        )
    return ClusterError(
        f"The cluster's credentials can't be got: {text}.", fix="Does `kubectl auth whoami` work?"
    )


def _own_namespace() -> str:
    with contextlib.suppress(OSError):
        return (SERVICE_ACCOUNT / "namespace").read_text().strip() or "default"
    return "default"


def _bare(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def _retry_after(text: str) -> float:
    """Seconds; of a date, which the API server never sends, nothing."""
    return float(text) if text.isdecimal() else 0.0


def _hopeless(why: str) -> bool:
    """Whether trying again can't help: names and certificates don't change in seconds."""
    return "CERTIFICATE_VERIFY_FAILED" in why or "Name or service not known" in why
