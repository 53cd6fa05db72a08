"""The certificate that signs Content Credentials: the user's own, or one that is made on first use."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from motion.documents import BadDocument, read_bounded
from provenance.private_files import write_private
from serving.errors import BadSettings

SELF_MADE_ORGANISATION: Final = "Everybody Dance (self-made certificate)"
IDENTITY_FILE: Final = "identity.pem"
"""The private key and its certificates, in one file: two could come from two processes."""
_FIRST_USE: Final = "--certificate"
_BEGIN_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_YEARS: Final = 10
_MOST_BYTES: Final = 2**20
_CURVES: Final = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs. chain_pem: certificates, the signer's first. algorithm: as C2PA names it, for example "es256"."""

    chain_pem: bytes
    key_pem: bytes
    algorithm: str
    is_self_made: bool

    @property
    def name(self) -> str:
        """The signer's common name."""
        return _common_name(x509.load_pem_x509_certificates(self.chain_pem)[0])


def read_identity(chain: Path, key: Path, *, setting: str) -> Identity:
    """Read a certificate chain and its private key, both PEM. Raises BadSettings for `setting`, never quoting a key."""
    return _identity(_read(chain, setting), _read(key, setting), chain, key, setting, is_self_made=False)


def self_made_identity(folder: Path, who: str) -> Identity:
    """Return the identity in `folder`, which is made on first use and says in its name that it is self-made.

    Nothing vouches for it: it shows that files with the same signer come from the same place, and that a file was not
    changed. who: the common name of a new one, such as a host's name. Raises OSError, BadSettings for a damaged file.
    """
    path = folder / IDENTITY_FILE
    if not path.exists():
        made = _made(who[:64] or "unnamed")
        write_private(path, made.key_pem + made.chain_pem)  # of two processes that are here at once, one is faster
    both = _read(path, _FIRST_USE)
    begins = both.find(_BEGIN_CERTIFICATE)
    if begins < 0:
        raise BadSettings(_FIRST_USE, f"{path}: expected a private key and certificates; delete it to make new ones")
    return _identity(both[begins:], both[:begins], path, path, _FIRST_USE, is_self_made=True)


def is_self_made(organisation: str) -> bool:
    """Whether a certificate of this organisation says that it was made on first use."""
    return organisation == SELF_MADE_ORGANISATION


def _identity(
    chain_pem: bytes, key_pem: bytes, chain: Path, key: Path, setting: str, *, is_self_made: bool
) -> Identity:
    """Check that a certificate and a key can sign. chain, key: their files, for messages. Raises BadSettings."""
    try:
        signer = x509.load_pem_x509_certificates(chain_pem)[0]
    except ValueError:
        raise BadSettings(setting, f"{chain}: expected PEM certificates, the signer's first") from None
    try:
        private = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):
        raise BadSettings(setting, f"{key}: expected a PEM private key without a password") from None
    match private:
        case ec.EllipticCurvePrivateKey() if private.curve.name in _CURVES:
            algorithm = _CURVES[private.curve.name]
        case ed25519.Ed25519PrivateKey():
            algorithm = "ed25519"
        case rsa.RSAPrivateKey():
            algorithm = "ps256"
        case _:
            raise BadSettings(setting, f"{key}: expected a key of ECDSA (P-256, P-384, P-521), Ed25519 or RSA")
    if private.public_key() != signer.public_key():
        raise BadSettings(setting, f"{key} is not the key of the first certificate in {chain}")
    if signer.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        raise BadSettings(setting, f"{chain}: the certificate ended on {signer.not_valid_after_utc:%Y-%m-%d}")
    return Identity(chain_pem, key_pem, algorithm, is_self_made)


def _made(who: str) -> Identity:
    """Make a root and a certificate that it signs: C2PA allows no certificate that signs itself."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = _name(f"{who}, root")
    root = (
        _certificate(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    signer = (
        _certificate(_name(who), root_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    chain_pem = signer.public_bytes(Encoding.PEM) + root.public_bytes(Encoding.PEM)
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(chain_pem, key_pem, "es256", is_self_made=True)


def _certificate(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(who: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, who),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, SELF_MADE_ORGANISATION),
        ]
    )


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else "unnamed"


def _read(path: Path, setting: str) -> bytes:
    try:
        return read_bounded(path, _MOST_BYTES)
    except OSError as error:
        raise BadSettings(setting, f"{path} cannot be read: {error.strerror}") from error
    except BadDocument as error:
        raise BadSettings(setting, f"{path} {error}") from error
