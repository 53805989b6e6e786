from __future__ import annotations

import pytest

ECHO = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: echo
spec:
  replicas: 5
  selector:
    matchLabels: {app: echo}
  template:
    metadata:
      labels: {app: echo, version: v1}
    spec:
      containers:
      - name: echo
        image: whichpod:latest
        ports:
        - {name: grpc, containerPort: 50051}
---
apiVersion: v1
kind: Service
metadata:
  name: echo
spec:
  selector: {app: echo}
  ports:
  - {name: grpc, port: 50051, targetPort: grpc}
"""


@pytest.fixture
def echo() -> str:
    """A Deployment of five and its Service."""
    return ECHO
