"""Which client of a lab is meant: the options that the probing and the loading command share."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from whichpod.cluster.protocol import Client, Via
from whichpod.model.errors import UsageError
from whichpod.model.target import Tls

Service = Annotated[str, typer.Argument(help="The Service, NAME or NAMESPACE/NAME.")]
Port = Annotated[str, typer.Option(help="Its port, by number or name [default: its first].")]
Meshed = Annotated[bool, typer.Option("--meshed", help="The client has a sidecar.")]
How = Annotated[
    Via,
    typer.Option(
        help="How it is reached: by its name (dns), from the control plane (xds), by port-forward; or past"
        " Services: all pods of a workload (endpoints), or its first (pod)."
    ),
]
Behind = Annotated[
    str,
    typer.Option("--backends", help="The Service whose pods should answer, where a proxy stands between."),
]


def client_of(
    name: str,
    service: str,
    port: str,
    via: Via,
    meshed: bool,
    backends: str,
    tls: Tls | None = None,
    authority: str = "",
) -> tuple[Client, int]:
    """The client, for the lab called `name`, and how many pods should answer.

    Raises UsageError for what the lab hasn't, and for TLS files that can't be read.
    """
    from whichpod.cli.lab.options import asked
    from whichpod.cluster.session.asked import Service as Aim
    from whichpod.model.pem import read_client

    if tls is not None:
        read_client(tls)
        # The client runs in another folder.
        tls = dataclasses.replace(
            tls,
            **{
                part: str(Path(file).absolute())
                for part in ("ca_file", "cert_file", "key_file")
                if (file := getattr(tls, part))
            },
        )
    by_pod = via in (Via.ENDPOINTS, Via.POD)
    found = asked(name, "aim", Aim(service, port, by_pod, backends, via is Via.XDS))
    for note in found["notes"]:
        print(f"whichpod: {note}", file=sys.stderr)
    aim = {"deployment": service} if by_pod else {"service": service}
    client = Client(
        port=found["port"], via=via, meshed=meshed, backends=backends, tls=tls, authority=authority, **aim
    )
    try:
        client.check()
    except UsageError:
        raise UsageError(f"--meshed and --via {via} exclude each other.", fix="Give one of them.") from None
    return client, found["pods"]
