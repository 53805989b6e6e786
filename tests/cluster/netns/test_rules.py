"""The rules as text. The names and lines that are expected come from kube-proxy's own tests
(TestOverallIPTablesRules, TestOverallNFTablesRules) and from istio-init's golden files."""

from __future__ import annotations

import re
from collections import defaultdict
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cluster.manifests import bundle, service
from whichpod.cluster.netns.rules import interception, iptables, nftables
from whichpod.cluster.netns.rules.portals import Portal, portals
from whichpod.cluster.netns.texts import hosts, resolv_conf
from whichpod.mesh.registry import Endpoint, Registry

CIDR, SERVICES = "10.0.0.0/8", "172.30.0.0/16"
SVC1 = Portal("ns1", "svc1", "p80", "172.30.0.41", 80, (("10.180.0.1", 80),))
SVC4 = Portal("ns4", "svc4", "p80", "172.30.0.44", 80, (("10.180.0.4", 80), ("10.180.0.5", 80)))
SVC5 = Portal("ns5", "svc5", "p80", "172.30.0.45", 80, (("10.180.0.3", 80),), affinity_s=10800)
SVC6 = Portal("ns6", "svc6", "p80", "172.30.0.46", 80)


def test_chains_are_named_as_kube_proxy_names_them() -> None:
    assert SVC1.chain == "KUBE-SVC-XPGD46QRK7WJZT7O"
    assert SVC1.endpoint_chain(("10.180.0.1", 80)) == "KUBE-SEP-SXIVWICOYRO3J4NJ"
    assert SVC1.nft_base == "ULMVA6XW-ns1/svc1/tcp/p80"
    assert SVC4.nft_endpoint_base(("10.180.0.5", 80)) == "5RFCDDV7-ns4/svc4/tcp/p80__10.180.0.5/80"
    assert Portal("ns1", "svc1", "", "", 80).chain == "KUBE-SVC-AQI2S6QIMU7PVVRP"


def test_the_rules_of_a_service_are_those_of_kube_proxy() -> None:
    lines = iptables.kube_proxy([SVC4], CIDR).splitlines()

    assert [line for line in lines if "svc4" in line] == [
        '-A KUBE-SERVICES -m comment --comment "ns4/svc4:p80 cluster IP" -m tcp -p tcp -d 172.30.0.44 '
        "--dport 80 -j KUBE-SVC-4SW47YFZTEDKD3PK",
        '-A KUBE-SVC-4SW47YFZTEDKD3PK -m comment --comment "ns4/svc4:p80 cluster IP" -m tcp -p tcp '
        "-d 172.30.0.44 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ",
        '-A KUBE-SVC-4SW47YFZTEDKD3PK -m comment --comment "ns4/svc4:p80 -> 10.180.0.4:80" -m statistic '
        "--mode random --probability 0.5000000000 -j KUBE-SEP-UKSFD7AGPMPPLUHC",
        '-A KUBE-SVC-4SW47YFZTEDKD3PK -m comment --comment "ns4/svc4:p80 -> 10.180.0.5:80" '
        "-j KUBE-SEP-C6EBXVWJJZMIWKLZ",
        "-A KUBE-SEP-UKSFD7AGPMPPLUHC -m comment --comment ns4/svc4:p80 -s 10.180.0.4 -j KUBE-MARK-MASQ",
        "-A KUBE-SEP-UKSFD7AGPMPPLUHC -m comment --comment ns4/svc4:p80 -m tcp -p tcp "
        "-j DNAT --to-destination 10.180.0.4:80",
        "-A KUBE-SEP-C6EBXVWJJZMIWKLZ -m comment --comment ns4/svc4:p80 -s 10.180.0.5 -j KUBE-MARK-MASQ",
        "-A KUBE-SEP-C6EBXVWJJZMIWKLZ -m comment --comment ns4/svc4:p80 -m tcp -p tcp "
        "-j DNAT --to-destination 10.180.0.5:80",
    ]


def test_affinity_is_looked_up_before_chance_and_kept_at_the_endpoint() -> None:
    lines = iptables.kube_proxy([SVC5], CIDR).splitlines()
    chain = "KUBE-SVC-NUKIZ6OKUXPJNT4C"
    kept = [line for line in lines if "-m recent" in line]

    assert kept == [
        f'-A {chain} -m comment --comment "ns5/svc5:p80 -> 10.180.0.3:80" -m recent '
        "--name KUBE-SEP-I77PXRDZVX7PMWMN --rcheck --seconds 10800 --reap -j KUBE-SEP-I77PXRDZVX7PMWMN",
        "-A KUBE-SEP-I77PXRDZVX7PMWMN -m comment --comment ns5/svc5:p80 -m recent "
        "--name KUBE-SEP-I77PXRDZVX7PMWMN --set -m tcp -p tcp -j DNAT --to-destination 10.180.0.3:80",
    ]


def test_a_service_without_endpoints_is_refused_and_has_no_chain() -> None:
    text = iptables.kube_proxy([SVC6], CIDR)
    filters, nat = text.split("*nat")

    assert (
        '-A KUBE-SERVICES -m comment --comment "ns6/svc6:p80 has no endpoints" -m tcp -p tcp -d 172.30.0.46 '
        "--dport 80 -j REJECT"
    ) in filters
    assert "172.30.0.46" not in nat
    assert 'no-endpoint-services { 172.30.0.46 . tcp . 80 comment "ns6/svc6:p80" : goto reject-chain }' in (
        nftables.kube_proxy([SVC6], CIDR, SERVICES)
    )


def test_the_rules_of_a_service_are_those_of_kube_proxy_in_nftables_mode() -> None:
    lines = nftables.kube_proxy([SVC5], CIDR, SERVICES).splitlines()
    service, endpoint = "service-HVFWP5L3-ns5/svc5/tcp/p80", "GTK6MW7G-ns5/svc5/tcp/p80__10.180.0.3/80"

    assert [line.removeprefix("add ") for line in lines if "svc5" in line] == [
        f"chain ip kube-proxy {service}",
        f"chain ip kube-proxy endpoint-{endpoint}",
        f"rule ip kube-proxy {service} ip daddr 172.30.0.45 tcp dport 80 ip saddr != 10.0.0.0/8 "
        "jump mark-for-masquerade",
        f"set ip kube-proxy affinity-{endpoint} {{ type ipv4_addr ; flags dynamic,timeout ; "
        "timeout 10800s ; }",
        f"rule ip kube-proxy {service} ip saddr @affinity-{endpoint} goto endpoint-{endpoint}",
        f"rule ip kube-proxy {service} numgen random mod 1 vmap {{ 0 : goto endpoint-{endpoint} }}",
        f"rule ip kube-proxy endpoint-{endpoint} ip saddr 10.180.0.3 jump mark-for-masquerade",
        f"rule ip kube-proxy endpoint-{endpoint} update @affinity-{endpoint} {{ ip saddr }}",
        f"rule ip kube-proxy endpoint-{endpoint} meta l4proto tcp dnat to 10.180.0.3:80",
        f"element ip kube-proxy service-ips {{ 172.30.0.45 . tcp . 80 : goto {service} }}",
    ]


def test_affinity_is_forgotten_with_its_endpoint_or_its_timeout() -> None:
    def deleted(now: list[Portal]) -> int:
        text = nftables.kube_proxy(now, CIDR, SERVICES, before=[SVC5])
        return text.count("delete set ip kube-proxy affinity-GTK6MW7G")

    shorter = Portal("ns5", "svc5", "p80", "172.30.0.45", 80, (("10.180.0.3", 80),), affinity_s=60)
    assert [deleted([SVC5]), deleted([SVC6]), deleted([shorter])] == [0, 1, 1]


ADDRESSES = st.tuples(st.integers(1, 254).map(lambda n: f"10.244.0.{n}"), st.integers(1, 65535))
PORTALS = st.builds(
    Portal,
    namespace=st.just("default"),
    service=st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
    port_name=st.sampled_from(["", "grpc", "tcp-grpc"]),
    address=st.just("10.96.0.1"),
    port=st.integers(1, 65535),
    endpoints=st.lists(ADDRESSES, max_size=40, unique=True).map(tuple),
    affinity_s=st.sampled_from([None, 60]),
)
RULE = re.compile(r"-A (\S+) .*?(?:--probability (\S+) )?-j (\S+)")


@given(PORTALS)
def test_every_endpoint_is_equally_likely(portal: Portal) -> None:
    """With iptables: what is left of the chance so far times the rule's own."""
    left = Fraction(1)
    share: dict[str, Fraction] = defaultdict(Fraction)
    for line in iptables.kube_proxy([portal], CIDR).splitlines():
        found = RULE.match(line)
        if found and found[1] == portal.chain and "recent" not in line and "KUBE-SEP" in found[3]:
            chance = Fraction(found[2]) if found[2] else Fraction(1)
            share[found[3]] += left * chance
            left *= 1 - chance

    assert set(share) == {portal.endpoint_chain(e) for e in portal.endpoints}
    for value in share.values():
        assert abs(value - Fraction(1, len(share))) < Fraction(1, 10**9)


@settings(max_examples=30)
@given(st.lists(PORTALS, max_size=4, unique_by=lambda p: (p.service, p.port_name)))
def test_every_chain_that_is_jumped_to_is_there_and_none_is_idle(of: list[Portal]) -> None:
    for table in iptables.kube_proxy(of, CIDR).split("*")[1:]:
        made = set(re.findall(r"^:(KUBE-\S+) ", table, re.MULTILINE))
        used = set(re.findall(r"-j (KUBE-\S+)", table))
        assert used <= made
        assert made - used <= {"KUBE-MARK-MASQ"}

    text = nftables.kube_proxy(of, CIDR, SERVICES)
    made = set(re.findall(r"^add chain ip kube-proxy (\S+)", text, re.MULTILINE))
    assert set(re.findall(r"(?:goto|jump) ([a-z][\w./-]+)", text)) <= made


@given(PORTALS)
def test_nftables_draws_among_all_endpoints(portal: Portal) -> None:
    draws = re.findall(
        r"numgen random mod (\d+) vmap \{ (.*) \}", nftables.kube_proxy([portal], CIDR, SERVICES)
    )

    if not portal.endpoints:
        assert not draws
        return
    ((number, choices),) = draws
    chains = [choice.split(" : goto ") for choice in choices.split(" , ")]
    assert [n for n, _ in chains] == [str(n) for n in range(int(number))]
    assert {c for _, c in chains} == {f"endpoint-{portal.nft_endpoint_base(e)}" for e in portal.endpoints}


def test_a_sidecar_is_told_by_its_mark_where_istio_tells_it_by_its_user() -> None:
    """The lines of istio-init's inbound-ports-wildcard.golden, with the mark in the user's place."""
    lines = interception.iptables().splitlines()

    assert [line for line in lines if line.startswith("-A ISTIO_OUTPUT")] == [
        "-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN",
        "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m mark --mark 0x539 "
        "-j ISTIO_IN_REDIRECT",
        "-A ISTIO_OUTPUT -o lo -m mark ! --mark 0x539 -j RETURN",
        "-A ISTIO_OUTPUT -m mark --mark 0x539 -j RETURN",
        "-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN",
        "-A ISTIO_OUTPUT -j ISTIO_REDIRECT",
    ]
    nft = interception.nftables().splitlines()
    assert [
        line.partition("istio-output ")[2] for line in nft if "rule" in line and " istio-output " in line
    ] == [
        "oifname lo ip saddr 127.0.0.6/32 return",
        "oifname lo ip daddr != 127.0.0.1/32 tcp dport != 15008 mark 1337 jump istio-in-redirect",
        "oifname lo mark != 1337 return",
        "mark 1337 return",
        "ip daddr 127.0.0.1/32 return",
        "jump istio-redirect",
    ]


def test_portals_are_the_tcp_ports_of_services_with_a_cluster_ip() -> None:
    several = bundle(
        service("echo"),
        service("none", headless=True),
        """
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec:
  selector: {app: echo}
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}
  ports: [{name: a, port: 80, targetPort: 8080}, {name: u, port: 53, protocol: UDP}]
""",
    )
    labels = {"app": "echo"}
    pods = (
        Endpoint("a", "10.244.0.2", labels, {"grpc": 50051}),
        Endpoint("b", "10.244.0.3", labels, {"grpc": 50051}, ready=False),
    )

    echo, sticky = portals(Registry(several, pods), lambda s: f"ip of {s.meta.name}")

    assert echo == Portal("default", "echo", "grpc", "ip of echo", 50051, (("10.244.0.2", 50051),))
    assert (sticky.name, sticky.endpoints, sticky.affinity_s) == (
        "default/sticky:a",
        (("10.244.0.2", 8080),),
        60,
    )


def test_files_of_a_pod() -> None:
    assert resolv_conf("shop", "10.96.0.10") == (
        "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
        "nameserver 10.96.0.10\noptions ndots:5\n"
    )
    assert "10.244.0.2\techo-0\n" in hosts("echo-0", "10.244.0.2")
