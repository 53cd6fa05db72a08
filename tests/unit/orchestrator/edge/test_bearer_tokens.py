"""The valid contents of a tokens file and a key set."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.edge.bearer_tokens import BearerTokens, ListedTokens, SignedTokens
from serving.errors import BadSettings, Unauthenticated

DIGEST = hashlib.sha256(b"one").hexdigest()
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
SECRET = b"0123456789abcdef0123456789abcdef"
RSAAlgorithm, ECAlgorithm = jwt.algorithms.RSAAlgorithm, jwt.algorithms.ECAlgorithm
OKPAlgorithm, HMACAlgorithm = jwt.algorithms.OKPAlgorithm, jwt.algorithms.HMACAlgorithm


def tokens(tmp_path: Path, text: str) -> ListedTokens:
    path = tmp_path / "tokens"
    path.write_text(text)
    return ListedTokens(path)


def keys(tmp_path: Path, *entries: dict[str, Any]) -> SignedTokens:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": entries}))
    return SignedTokens(path, issuer="issuer", audience="dance")


def signed(key: Any, algorithm: str, kid: str | None = None) -> str:
    claims = {"sub": "user", "iss": "issuer", "aud": ["other", "dance"], "exp": int(time.time()) + 60}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else None)


def test_a_client_may_have_two_tokens(tmp_path: Path):
    """Comments, empty lines and capitals are ignored; both tokens of a client belong to it."""
    two = hashlib.sha256(b"two").hexdigest().upper()
    listed = tokens(tmp_path, f"# who\n\nstudio:{DIGEST}\n studio : {two}\n".replace("studio :", "studio:"))
    assert [listed.find(token) for token in ("one", "two", "three", "")] == ["studio", "studio", None, None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("studio:one", "line 1 .* NAME:SHA256"),
        (f"\n{DIGEST}", "line 2 .* NAME:SHA256"),
        (f"../studio:{DIGEST}", "line 1 .* NAME:SHA256"),
        (f"studio:{DIGEST}00", "line 1 .* NAME:SHA256"),
        (f"studio:{DIGEST}\ntheatre:{DIGEST}", "line 2 .* same token for theatre as for studio"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path: Path, text: str, said: str):
    """The error has the line's number, and no part of what might be a token."""
    with pytest.raises(BadSettings, match=said) as caught:
        tokens(tmp_path, text)
    assert text.rpartition(":")[2] not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    """The error names the setting and the file."""
    with pytest.raises(BadSettings, match=r"tokens_file: .*nowhere cannot be read: No such file"):
        ListedTokens(tmp_path / "nowhere")


def test_each_kind_of_key_has_its_algorithm(tmp_path: Path):
    """RS256, ES256, EdDSA and, for a secret, HS256; the key is found by its id."""
    known = keys(
        tmp_path,
        {**RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True), "kid": "rsa"},
        {**ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True), "kid": "ec", "alg": "ES256"},
        {**OKPAlgorithm.to_jwk(ED_KEY.public_key(), as_dict=True), "kid": "ed"},
        {**HMACAlgorithm.to_jwk(SECRET, as_dict=True), "kid": "oct"},
        {"kty": "RSA", "use": "enc", "kid": "for something else"},
    )
    for key, algorithm, kid in (
        (RSA_KEY, "RS256", "rsa"),
        (EC_KEY, "ES256", "ec"),
        (ED_KEY, "EdDSA", "ed"),
        (SECRET, "HS256", "oct"),
    ):
        assert known.subject(signed(key, algorithm, kid)) == "user"
    with pytest.raises(Unauthenticated, match="algorithm"):
        known.subject(signed(RSA_KEY, "PS256", "rsa"))
    with pytest.raises(Unauthenticated, match="an unknown key"):
        known.subject(signed(RSA_KEY, "RS256"))


def test_a_public_key_is_never_taken_for_a_secret(tmp_path: Path):
    """A token signed with the public key's own text as an HMAC secret is refused."""
    public = ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True)
    known = keys(tmp_path, {**public, "kid": "ec"})
    pem = EC_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, json.dumps(public).encode()):
        head, claims, _ = signed(SECRET, "HS256", "ec").split(".")
        signature = hmac.digest(secret, f"{head}.{claims}".encode(), "sha256")
        with pytest.raises(Unauthenticated, match="algorithm"):
            known.subject(f"{head}.{claims}.{urlsafe_b64encode(signature).decode().rstrip('=')}")


def test_one_key_needs_no_id(tmp_path: Path):
    """If the set has one key, tokens need no key id."""
    known = keys(tmp_path, ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True))
    assert BearerTokens(None, known).client(signed(EC_KEY, "ES256")) == "jwt:user"


RSA_1024 = rsa.generate_private_key(65537, 1024)
EC_384 = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "no key for signatures"),
        ([{"kty": "RSA", "use": "enc"}], "no key for signatures"),
        ([RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True)], "key 1 .* is a private key"),
        ([RSAAlgorithm.to_jwk(RSA_1024.public_key(), as_dict=True)], "key 1 .* 1024 bits, expected at least 2048"),
        ([ECAlgorithm.to_jwk(EC_384.public_key(), as_dict=True)], "key 1 .* not a key for RS256"),
        ([{"kty": "RSA", "alg": "none", "n": "AQ", "e": "AQAB"}], "key 1 .* not a key for RS256"),
        ([{"kty": "oct", "k": "c2hvcnQ"}], "key 1 .* 5 bytes, expected at least 32"),
        ([{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}], "key 1 .* cannot be read"),
        ([{"kty": "RSA"}], "key 1 .* cannot be read"),
        ([{"kty": ["RSA"]}], "key 1 .* not a key for RS256"),
        ([{"kty": "RSA", "kid": ["x"]}], "key 1 .* a kid that is not a string"),
        ([{"kty": "RSA", "kid": {}}], "key 1 .* a kid that is not a string"),
        ([{"kty": "oct", "k": "a" * 60}] * 2, "key 1 .* needs a unique kid"),
        ([{"kty": "oct", "k": "a" * 60, "kid": "x"}] * 2, "key 2 .* needs a unique kid"),
    ],
)
def test_a_key_set_that_makes_no_sense_is_refused(tmp_path: Path, entries: list[dict[str, Any]], said: str):
    """The error names the key by its number, and quotes no part of a key."""
    with pytest.raises(BadSettings, match=said) as caught:
        keys(tmp_path, *entries)
    for value in (value for entry in entries for value in entry.values() if len(value) > 10):
        assert value not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"keys": 3}', '{"keys": ["x"]}', "\ud800", "[" * 100_000, '{"keys": [{"n": 1e400}]}', '{"keys": NaN}'],
)
def test_a_file_that_is_not_a_key_set_is_refused(tmp_path: Path, text: str):
    """The error says which form is expected."""
    path = tmp_path / "keys.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(BadSettings, match=r'not JSON of the form \{"keys"'):
        SignedTokens(path, issuer="issuer", audience="dance")


def test_a_key_set_without_end_is_refused(tmp_path: Path):
    """The file is not read: its size is known first, and a FIFO or a device has none."""
    path = tmp_path / "keys.json"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(BadSettings, match="has 1099511627776 bytes, at most 4194304 are read"):
        SignedTokens(path, issuer="issuer", audience="dance")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadSettings, match="is not a regular file"):
        SignedTokens(path, issuer="issuer", audience="dance")


@pytest.mark.parametrize("header", ["[" * 2900, '{"a":' * 500, '{"alg":' + "[" * 2000])
def test_a_token_that_is_nested_deeply_is_refused(tmp_path: Path, header: str):
    """Any client can send such a token: it is an unknown token, not an error of the server."""
    known = keys(tmp_path, HMACAlgorithm.to_jwk(SECRET, as_dict=True))
    token = urlsafe_b64encode(header.encode()).decode().rstrip("=") + ".e30.e30"
    assert len(token) <= 4096
    with pytest.raises(Unauthenticated, match="is unknown"):
        BearerTokens(None, known).client(token)


def test_the_claims_of_a_signed_token_may_be_nested_too(tmp_path: Path):
    """The holder of a key can sign any contents; deeply nested claims are refused too."""
    known = keys(tmp_path, HMACAlgorithm.to_jwk(SECRET, as_dict=True))
    token = jwt.api_jws.encode(b"[" * 2000, SECRET, "HS256")
    with pytest.raises(Unauthenticated, match="the token cannot be read"):
        BearerTokens(None, known).client(token)
