"""Images: which one is meant, how configurations are fitted to the lab, and that each real proxy answers."""

from __future__ import annotations

import asyncio

import pytest

from tests.cluster.manifests import bundle, config_map, deployment, service
from whichpod.cluster.local import binaries
from whichpod.cluster.local.images import IMAGES, caddy, envoy, haproxy, image_of, nginx
from whichpod.cluster.local.images.base import localise
from whichpod.cluster.loopback import LoopbackCluster
from whichpod.cluster.protocol import Client
from whichpod.manifest.bundle import Bundle
from whichpod.manifest.kinds import Container, Where
from whichpod.model.errors import ManifestError
from whichpod.model.plan import Plan
from whichpod.model.report import Report


def container(image: str) -> Container:
    return Container("c", image, Where("pods.yaml", 7))


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("whichpod", "whichpod"),
        ("ghcr.io/someone/whichpod:1.2", "whichpod"),
        ("localhost:5000/whichpod@sha256:abc", "whichpod"),
        ("envoyproxy/envoy:v1.36-latest", "envoyproxy/envoy"),
        ("docker.io/envoyproxy/envoy:distroless-v1.31", "envoyproxy/envoy"),
        ("nginx:1.29", "nginx"),
        ("docker.io/library/nginx", "nginx"),
        ("caddy:2.10-alpine", "caddy"),
        ("haproxy:3.2", "haproxy"),
    ],
)
def test_an_image_is_known_by_its_name(image: str, name: str) -> None:
    assert image_of(container(image)).name == name


@pytest.mark.parametrize(
    "image", ["redis", "nginx/nginx-ingress", "bitnami/nginx", "whichpod/other", "", "envoy", "a b"]
)
def test_another_image_is_refused_with_its_place(image: str) -> None:
    with pytest.raises(
        ManifestError, match=r"(?s)pods\.yaml:7: .*knows the images whichpod, envoyproxy/envoy"
    ) as e:
        image_of(container(image))
    assert repr(image) in e.value.message


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("listen 80;", "listen A:80;"),
        ("listen 80 default_server;", "listen A:80 default_server;"),
        ("listen *:80;", "listen A:80;"),
        ("listen 0.0.0.0:80 http2;", "listen A:80 http2;"),
        ("listen 127.9.1.4:80;", "listen 127.9.1.4:80;"),
        ("listen unix:/x;", "listen unix:/x;"),
        ("listen 80; listen [::]:80;", "listen A:80; "),
    ],
)
def test_nginx_listens_on_the_pod_alone(given: str, expected: str) -> None:
    assert nginx.bind_to(given, "A") == expected


def test_nginx_templates_take_what_is_defined_and_leave_the_rest() -> None:
    text = "listen ${POD_IP}:$PORT; set $host ${other} $PORTS;"
    assert nginx.substitute(text, {"POD_IP": "1.2.3.4", "PORT": "80"}) == (
        "listen 1.2.3.4:80; set $host ${other} $PORTS;"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (":80 {\n}\n", "{\n\tdefault_bind A\n}\n:80 {\n}\n"),
        ("{\n\tadmin off\n}\n:80\n", "{\n\tdefault_bind A\n\tadmin off\n}\n:80\n"),
        ("# hello\n\n{\n}\n", "# hello\n\n{\n\tdefault_bind A\n}\n"),
        ("{\n\tdefault_bind 1.2.3.4\n}\n", "{\n\tdefault_bind 1.2.3.4\n}\n"),
    ],
)
def test_caddy_listens_on_the_pod_alone(given: str, expected: str) -> None:
    assert caddy.bind_to(given, "A") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("  bind *:80 proto h2", "  bind A:80 proto h2"),
        ("\tbind :80", "\tbind A:80"),
        ("  bind 0.0.0.0:80", "  bind A:80"),
        ('  bind :"${PORT}"', '  bind A:"${PORT}"'),
        ('  bind "${POD_IP}:80"', '  bind "${POD_IP}:80"'),
    ],
)
def test_haproxy_listens_on_the_pod_alone(given: str, expected: str) -> None:
    assert haproxy.bind_to(given, "A") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("address: 0.0.0.0, port", "address: 127.9.1.4, port"),
        ("admin 127.0.0.1:9901", "admin 127.9.1.4:9901"),
        (
            "allow 10.0.0.0/8 0.0.0.0/0 127.0.0.11 127.0.0.1/32",
            "allow 10.0.0.0/8 0.0.0.0/0 127.0.0.11 127.0.0.1/32",
        ),
    ],
)
def test_all_addresses_and_localhost_are_the_pod(given: str, expected: str) -> None:
    assert localise(given, "127.9.1.4") == expected


def test_envoy_gets_what_it_needs_beside_others_and_keeps_what_it_was_given() -> None:
    assert envoy.complete(["-c", "x"]) == [
        "-c", "x", "--disable-hot-restart", "--concurrency", "1", "-l", "warning"
    ]  # fmt: skip
    given = ["--concurrency", "4", "--log-level", "debug", "--disable-hot-restart"]
    assert envoy.complete(given) == given


# The configurations below bind all addresses, as those do that people have.

ENVOY = """
static_resources:
  listeners:
    - address: {socket_address: {address: 0.0.0.0, port_value: 50051}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: edge
                route_config:
                  virtual_hosts:
                    - name: ready
                      domains: ["*"]
                      routes: [{match: {path: /ready}, direct_response: {status: 200}}]
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
"""  # noqa: E501
NGINX = """
server {
    listen 50051;
    listen [::]:50051;
    http2 on;
    access_log /var/log/nginx/access.log;
    location / { grpc_pass grpc://echo-backends; }
}
upstream echo-backends {
    zone echo 256k;
    resolver ${CLUSTER_DNS} valid=1s ipv6=off;
    server direct.default.svc.cluster.local:50051 resolve;
}
"""
CADDY = """
:50051 {
    reverse_proxy {
        dynamic a direct.default.svc.cluster.local 50051 {
            resolvers {$CLUSTER_DNS}
            versions ipv4
        }
        lb_policy round_robin
        transport http {
            versions h2c
        }
    }
}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
resolvers cluster
    nameserver dns "${CLUSTER_DNS}"
frontend grpc
    bind *:50051 proto h2
    default_backend echo
backend echo
    balance roundrobin
    server-template pod 1-9 direct.default.svc.cluster.local:50051 proto h2 resolvers cluster resolve-prefer ipv4 init-addr none
"""  # noqa: E501


def with_config(image: str, path: str, key: str, text: str, *, replicas: int = 1, probe: str = "") -> Bundle:
    """Echo pods and a proxy before them, whose configuration lies in the folder `path` as the file `key`."""
    edge = deployment(
        name="edge",
        replicas=replicas,
        image=image,
        args="[]",
        probe=f"readinessProbe: {probe or '{grpc: {port: 50051}}'}",
        more=f"volumeMounts: [{{name: v, mountPath: {path}}}]",
        volumes="volumes: [{name: v, configMap: {name: config}}]",
    )
    services = (service("direct", headless=True), service("edge", headless=True, app="edge"))
    return bundle(deployment(), edge, config_map("config", key, text), *services)


@pytest.mark.parametrize(
    ("image", "path", "key", "text"),
    [
        ("nginx:1.29", "/etc/nginx/templates", "default.conf.template", NGINX),
        ("caddy:2", "/etc/caddy", "Caddyfile", CADDY),
        ("haproxy:3", "/usr/local/etc/haproxy", "haproxy.cfg", HAPROXY),
    ],
)
def test_each_proxy_answers_and_balances(image: str, path: str, key: str, text: str) -> None:
    name = image.partition(":")[0]
    if why := binaries.missing(name):
        pytest.skip(why)
    client = Client("edge", backends="direct")

    async def run() -> tuple[Report, dict[str, str]]:
        what = with_config(image, path, key, text)
        assert LoopbackCluster().missing(what, client) is None
        async with LoopbackCluster().lab(what, client=client) as lab:
            # A resolver of the proxy's may learn of the pods one by one.
            await lab.probe(client, Plan(requests=10))
            return await lab.probe(client, Plan(requests=30)), lab.environment()

    report, environment = asyncio.run(run())
    assert report.tally.statuses == {"OK": 30}
    assert {b.backend.pod: b.done for b in report.tally.backends.values()} == {
        "echo-0": 10, "echo-1": 10, "echo-2": 10
    }  # fmt: skip
    assert report.target.known == ("echo-0", "echo-1", "echo-2")
    assert environment[name] == binaries.version(name)


def test_two_envoys_whose_configuration_binds_everything_are_ready_by_http() -> None:
    probe = "{httpGet: {port: grpc, path: /ready}}"
    what = with_config("envoyproxy/envoy:v1.36", "/etc/envoy", "envoy.yaml", ENVOY, replicas=2, probe=probe)

    async def run() -> None:
        async with LoopbackCluster().lab(what, client=Client("edge")) as lab:
            assert [p.ready for p in lab.pods if p.deployment == "edge"] == [True, True]
            assert lab.environment()["envoy"] == binaries.version("envoy")

    asyncio.run(run())


def test_every_image_has_a_program_or_is_ours() -> None:
    assert [i.name for i in IMAGES if not i.binary] == ["whichpod"]
