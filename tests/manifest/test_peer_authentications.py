from __future__ import annotations

import pytest

from whichpod.manifest.load import load_text
from whichpod.manifest.traffic import PeerAuthentication
from whichpod.model.errors import ManifestError

HEAD = "apiVersion: security.istio.io/{}\nkind: PeerAuthentication\nmetadata: {{name: p, namespace: {}}}\n"
DEPLOYMENT = """---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec: {serviceAccountName: teller, containers: [{name: echo, image: whichpod}]}
"""


def read(spec: str, *, version: str = "v1", namespace: str = "default") -> PeerAuthentication:
    (found,) = load_text(HEAD.format(version, namespace) + spec, "f").peer_authentications
    return found


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_every_field(version: str) -> None:
    found = read(
        "spec: {mtls: {mode: STRICT}, selector: {matchLabels: {app: echo}},"
        " portLevelMtls: {8080: {mode: DISABLE}, '9090': {}, 9091: {mode: UNSET}}}",
        version=version,
    )
    assert found.mode == "STRICT"
    assert found.selector == {"app": "echo"}
    assert found.ports == ((8080, "DISABLE"), (9090, "UNSET"), (9091, "UNSET"))


@pytest.mark.parametrize("spec", ["", "spec: {}", "spec: {mtls: {}}", "spec: {mtls: {mode: UNSET}}"])
def test_what_is_left_out_is_unset(spec: str) -> None:
    found = read(spec)
    assert (found.mode, found.selector, found.ports) == ("UNSET", {}, ())


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("spec: {mtls: {mode: ON}}", "mtls.mode must be text"),
        ("spec: {mtls: {mode: MUTUAL}}", "'MUTUAL' is not understood"),
        ("spec: {mtls: STRICT}", "spec.mtls must be an object"),
        ("spec: {mTLS: {mode: STRICT}}", "mTLS is not understood"),
        ("spec: {portLevelMtls: {80: {mode: STRICT}}}", "needs a selector"),
        ("spec: {selector: {matchLabels: {a: b}}, portLevelMtls: {}}", "is empty"),
        ("spec: {selector: {matchLabels: {a: b}}, portLevelMtls: {0: {mode: STRICT}}}", "no port number"),
        ("spec: {selector: {matchLabels: {a: b}}, portLevelMtls: {web: {mode: STRICT}}}", "no port number"),
        ("spec: {selector: {matchLabels: {a: b}}, portLevelMtls: {80: STRICT}}", "must be an object"),
        ("spec: {selector: {matchExpressions: []}}", "matchExpressions is not understood"),
    ],
)
def test_what_is_refused(spec: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        read(spec)
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("namespace", "label", "says"),
    [
        ("default", "other", "PeerAuthentication p: its selector matches no pod's labels."),
        ("istio-system", "echo", "spec.selector makes Istio ignore this policy"),
    ],
)
def test_notes_of_policies_that_meet_nothing(namespace: str, label: str, says: str) -> None:
    text = HEAD.format("v1", namespace) + f"spec: {{selector: {{matchLabels: {{app: {label}}}}}}}\n"
    (note,) = load_text(text + DEPLOYMENT, "f").notes
    assert says in note.message


def test_a_policy_that_works_is_not_noted() -> None:
    text = HEAD.format("v1", "default") + "spec: {selector: {matchLabels: {app: echo}}}\n"
    bundle = load_text(text + DEPLOYMENT, "f")
    assert bundle.notes == ()
    assert bundle.deployments[0].service_account == "teller"
