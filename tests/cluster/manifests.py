"""Small manifests for the tests of clusters."""

from __future__ import annotations

from whichpod.manifest.bundle import Bundle
from whichpod.manifest.load import load_text


def deployment(
    *,
    name: str = "echo",
    replicas: int = 3,
    image: str = "whichpod",
    args: str = "[serve]",
    sidecar: bool = False,
    probe: str = "readinessProbe: {grpc: {port: 50051}}",
    env: str = "",
    more: str = "",
    volumes: str = "",
) -> str:
    """A Deployment. `env`, `more` and `volumes` are lines of YAML in flow style."""
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata:
      labels: {{app: {name}, sidecar.istio.io/inject: "{str(sidecar).lower()}"}}
    spec:
      containers:
        - name: {name}
          image: {image}
          args: {args}
          env:
            - {{name: GRPC_PORT, value: "50051"}}
            - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
            - {{name: POD_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}
            - {{name: NODE_NAME, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}
            - {{name: CLUSTER_DNS, value: "10.96.0.10:53"}}
            {env}
          ports: [{{name: grpc, containerPort: 50051}}]
          {probe}
          {more}
      {volumes}
"""


def service(name: str = "echo", *, headless: bool = False, port: str = "grpc", app: str = "echo") -> str:
    """A Service; `port` is its port's name."""
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  {"clusterIP: None" if headless else "type: ClusterIP"}
  selector: {{app: {app}}}
  ports: [{{name: {port}, port: 50051, targetPort: grpc}}]
"""


ROUND_ROBIN = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo}
spec:
  host: echo
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
"""


def policy(mode: str) -> str:
    """A PeerAuthentication of the namespace."""
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default}}
spec: {{mtls: {{mode: {mode}}}}}
"""


def config_map(name: str, key: str, text: str) -> str:
    """A ConfigMap with one file."""
    indented = "\n".join(f"    {line}" for line in text.splitlines())
    return f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}}}
data:
  {key}: |
{indented}
"""


def bundle(*documents: str) -> Bundle:
    """Documents as one bundle."""
    return load_text("\n---\n".join(documents), "test.yaml")
