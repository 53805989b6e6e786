"""Who sidecars are: an authority of the mesh, made at start, and a certificate per service account.

Source: SPIFFE, "X.509 SVID" (one URI SAN, critical where the subject is empty); Istio, "Security" (identity).
What istio-agent hands to Envoy over SDS, by the names `default` and `ROOTCA`, stands in its bootstrap here.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from whichpod.mesh.pieces import JsonObject
from whichpod.model.errors import MissingExtraError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

TRUST_DOMAIN = "cluster.local"
CERTIFICATE, ROOT = "default", "ROOTCA"
"""The names of a sidecar's secrets."""
VALID = datetime.timedelta(days=365)
"""Istio renews its certificates, of a day; these die with the lab, which may stay up for long."""
_CLOCK_SKEW = datetime.timedelta(minutes=2)


def spiffe(namespace: str, service_account: str) -> str:
    """The identity of a service account."""
    return f"spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{service_account}"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key, and whom its owner trusts, as PEM text."""

    uri: str
    certificate: str = field(repr=False)
    key: str = field(repr=False)
    root: str = field(repr=False)

    def secrets(self) -> list[JsonObject]:
        """As static secrets of a bootstrap, which holds the private key then: keep it from others' eyes."""
        return [
            {
                "name": CERTIFICATE,
                "tls_certificate": {
                    "certificate_chain": {"inline_string": self.certificate},
                    "private_key": {"inline_string": self.key},
                },
            },
            {"name": ROOT, "validation_context": {"trusted_ca": {"inline_string": self.root}}},
        ]


class Authority:
    """The mesh's certificate authority. Its key is in memory only. Raises MissingExtraError."""

    def __init__(self) -> None:
        try:
            from cryptography import x509
            from cryptography.hazmat.primitives.asymmetric import ec
        except ImportError:
            raise MissingExtraError("The certificates of sidecars", "lab") from None
        self._known: dict[str, Identity] = {}
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, TRUST_DOMAIN)])
        self._certificate = (
            _builder(self._key, self._name, self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(cert_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, _sha256())
        )
        self.root = _pem(self._certificate)
        """The authority's own certificate, as PEM text."""

    def identity(self, namespace: str, service_account: str) -> Identity:
        """The certificate of a service account, for both ends of a connection. Made once."""
        uri = spiffe(namespace, service_account)
        if uri not in self._known:
            self._known[uri] = self._issued(uri)
        return self._known[uri]

    def _issued(self, uri: str) -> Identity:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = ec.generate_private_key(ec.SECP256R1())
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(key, x509.Name([]), self._name)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(signer, critical=False)
            .sign(self._key, _sha256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Identity(uri, _pem(certificate), private.decode(), self.root)


def _builder(key: EllipticCurvePrivateKey, subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + VALID)
    )


def _usage(*, cert_sign: bool = False) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=cert_sign,
        crl_sign=cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _sha256() -> hashes.SHA256:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256()


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM).decode()
