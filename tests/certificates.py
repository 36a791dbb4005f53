"""A certificate authority made at test time, and what its servers may do wrong."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
DAY = timedelta(days=1)
NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Authority:
    """Signs certificates; its own lies in `path`, to be trusted by whoever is told to."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, folder: Path) -> Authority:
        """An authority that nobody knows."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        built = _certificate(f"Authority of {folder.name}", key, None, NOW + DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        found = cls(folder, key, built.sign(key, hashes.SHA256()))
        found.path.write_bytes(found.certificate.public_bytes(serialization.Encoding.PEM))
        return found

    @property
    def path(self) -> Path:
        """The file that SSL_CERT_FILE may name."""
        return self.folder / "authority.pem"

    def server(
        self, name: x509.GeneralName = HERE, *, days: int = 1, signed: bool = True
    ) -> ssl.SSLContext:
        """What a server with a certificate of ours listens by: of a name, for so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self.certificate.subject if signed else None
        built = _certificate("A server", key, issuer, NOW + days * DAY).add_extension(
            x509.SubjectAlternativeName([name]), critical=False
        )
        own = built.sign(self.key if signed else key, hashes.SHA256())
        file = self.folder / f"{own.serial_number}.pem"
        file.write_bytes(
            own.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name | None, end: datetime
) -> x509.CertificateBuilder:
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer or own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - 30 * DAY)
        .not_valid_after(end)
    )
