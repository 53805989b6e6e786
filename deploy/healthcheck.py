"""The image's health check: asks the server in this container by gRPC's health service.

Exit code 0: it is SERVING. 1: it isn't, or can't be reached; why is on standard error. It looks at GRPC_PORT,
as the server does, and speaks plain text: with TLS or another --port, give a health check of your own.
"""

from __future__ import annotations

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_S = 2.0
"""Below the --timeout of the image's HEALTHCHECK, so that the reason is still told."""


def main() -> int:
    """Asks once."""
    target = f"127.0.0.1:{os.environ.get('GRPC_PORT', '50051')}"
    # No proxy of the environment stands between a container and itself.
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S
            )
        except grpc.RpcError as e:
            print(f"{target}: {e.code().name}: {e.details()}", file=sys.stderr)
            return 1
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return 0
    print(f"{target}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
