"""The certificate that signs Content Credentials."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from provenance.credentials.certificate import (
    IDENTITY_FILE,
    SELF_MADE_ORGANISATION,
    read_identity,
    self_made_identity,
)
from serving.errors import BadSettings


def files(folder: Path, key, *, days: int = 30) -> tuple[Path, Path]:
    """A certificate of this key and the key itself, as files."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain, secret


def test_the_first_use_makes_an_identity_that_says_so(tmp_path: Path) -> None:
    """Its organisation says that it is self-made, its key is private, and later uses get the same."""
    first = self_made_identity(tmp_path / "new", "a host")
    assert first.is_self_made
    assert (first.name, first.algorithm) == ("a host", "es256")
    signer, root = x509.load_pem_x509_certificates(first.chain_pem)
    for certificate in (signer, root):
        (organisation,) = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        assert organisation.value == SELF_MADE_ORGANISATION
    assert stat.S_IMODE((tmp_path / "new" / IDENTITY_FILE).stat().st_mode) == 0o600
    assert self_made_identity(tmp_path / "new", "another name") == first


def test_a_damaged_identity_is_refused(tmp_path: Path) -> None:
    """It is not replaced in silence: the user says what to do with it."""
    identity = tmp_path / IDENTITY_FILE
    self_made_identity(tmp_path, "a host")
    identity.write_bytes(identity.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0])
    with pytest.raises(BadSettings, match="expected a private key and certificates; delete it to make new ones"):
        self_made_identity(tmp_path, "a host")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "es256"),
        (ec.generate_private_key(ec.SECP384R1()), "es384"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (rsa.generate_private_key(65537, 2048), "ps256"),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA"],
)
def test_a_users_own_certificate_names_its_algorithm(tmp_path: Path, key, algorithm: str) -> None:
    """C2PA's usual algorithms are recognised by the key."""
    identity = read_identity(*files(tmp_path, key), setting="--certificate")
    assert (identity.algorithm, identity.name, identity.is_self_made) == (algorithm, "somebody", False)


def test_files_that_cannot_sign_are_refused(tmp_path: Path) -> None:
    """Each error names the setting, the file, and what is wrong with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    chain, secret = files(tmp_path, key)
    other = tmp_path / "other"
    other.mkdir()
    _, foreign = files(other, ec.generate_private_key(ec.SECP256R1()))
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nothing")
    missing = tmp_path / "missing"
    for bad_chain, bad_key, reason in (
        (nonsense, secret, "nonsense: expected PEM certificates, the signer's first"),
        (chain, nonsense, "nonsense: expected a PEM private key without a password"),
        (chain, foreign, "is not the key of the first certificate"),
        (missing, secret, "missing cannot be read: No such file or directory"),
    ):
        with pytest.raises(BadSettings, match=rf"^--certificate: .*{reason}"):
            read_identity(bad_chain, bad_key, setting="--certificate")
    with pytest.raises(BadSettings, match=r"the certificate ended on \d{4}-\d\d-\d\d"):
        read_identity(*files(other, key, days=-1), setting="--certificate")
    with pytest.raises(BadSettings, match="expected a key of ECDSA"):
        read_identity(*files(other, dsa.generate_private_key(1024)), setting="--certificate")
