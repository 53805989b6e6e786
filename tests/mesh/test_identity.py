from __future__ import annotations

import datetime
import ssl
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from whichpod.mesh.identity import Authority, spiffe
from whichpod.model.errors import MissingExtraError


def test_a_certificate_is_as_spiffe_wants_it() -> None:
    authority = Authority()
    identity = authority.identity("shop", "teller")
    assert identity.uri == spiffe("shop", "teller") == "spiffe://cluster.local/ns/shop/sa/teller"
    found = x509.load_pem_x509_certificate(identity.certificate.encode())
    root = x509.load_pem_x509_certificate(authority.root.encode())
    found.verify_directly_issued_by(root)
    key = found.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert not list(found.subject)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert list(names.value) == [x509.UniformResourceIdentifier(identity.uri)]
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    now = datetime.datetime.now(datetime.UTC)
    assert found.not_valid_before_utc < now < found.not_valid_after_utc


def test_it_is_made_once_and_its_key_fits(tmp_path: Path) -> None:
    authority = Authority()
    identity = authority.identity("a", "b")
    assert authority.identity("a", "b") is identity
    assert authority.identity("a", "c").key != identity.key
    pair = tmp_path / "pair.pem"
    pair.write_text(identity.certificate + identity.key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(pair)


def test_without_the_package_it_is_told_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtraError, match=r"whichpod\[lab\]"):
        Authority()
