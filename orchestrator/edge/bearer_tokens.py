"""Bearer tokens: tokens listed by digest in a file, and JWTs signed by a key of a key set.

Tokens and keys never appear in an error, a log or the settings; library messages that might quote them are replaced.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from motion.documents import parsed
from orchestrator.settings import OrchestratorSettings
from serving.errors import Unauthenticated
from serving.process.reloaded_files import ReloadedFiles

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MAX_TOKEN_CHARACTERS: Final = 4096  # gRPC itself begins to refuse metadata above 8 KiB in all
_MAX_SUBJECT_CHARACTERS: Final = 128
_CLOCKS_DIFFER_SECONDS: Final = 10

# The key type determines the algorithm, whatever the token claims: a public key is never used as an HMAC secret.
_ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA", "oct": "HS256"}
_CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}
_LEAST_RSA_BITS: Final = 2048
_LEAST_SECRET_BYTES: Final = 32


class ListedTokens:
    """The tokens of a file with one `NAME:SHA256` per line: a client's name and its token's SHA-256 in hexadecimal.

    Empty lines and lines that begin with # are ignored. A client may have several tokens, so they can be rotated.
    Tokens must be random, because the digest of a password could be guessed. Raises BadSettings for the file.
    """

    def __init__(self, path: Path) -> None:
        self._files = ReloadedFiles("tokens_file", [path], _listed)

    def find(self, token: str) -> str | None:
        """Return the name of the token's client, or None."""
        shown = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        found = None
        for digest, name in self._files.current():
            # Compare all digests, each in constant time, so that the duration reveals nothing.
            if hmac.compare_digest(digest, shown):
                found = name
        return found


class SignedTokens:
    """JWTs of one issuer for one audience, signed by a key of a JWK set (RFC 7517) in a file.

    Supports RS256, ES256 (P-256), EdDSA (Ed25519), and HS256 if the set has a secret (kty `oct`). A token needs `exp`,
    `sub`, `iss` and `aud`, and `kid` if the set has several keys. Raises BadSettings for the file.
    """

    def __init__(self, path: Path, *, issuer: str, audience: str) -> None:
        self._files = ReloadedFiles("jwt_keys_file", [path], _key_set)
        self._issuer = issuer
        self._audience = audience

    def subject(self, token: str) -> str:
        """Return the token's subject. Raises Unauthenticated."""
        keys = self._files.current()
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except (jwt.PyJWTError, RecursionError):  # the latter for deep nesting, in an older PyJWT
            raise Unauthenticated("unknown", "the token is unknown") from None
        key = keys[None] if kid is None and None in keys else keys.get(kid)
        if key is None:
            raise Unauthenticated("unknown_key", "the token is signed by an unknown key")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=_CLOCKS_DIFFER_SECONDS,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            raise _refusal(error) from None
        except RecursionError:
            raise Unauthenticated("malformed", "the token cannot be read") from None
        subject = claims["sub"]
        if not (1 <= len(subject) <= _MAX_SUBJECT_CHARACTERS and subject.isprintable()):
            raise Unauthenticated(
                "malformed", f"the token's subject must have 1 to {_MAX_SUBJECT_CHARACTERS} printable characters"
            )
        return str(subject)


class BearerTokens:
    """Listed tokens, signed tokens, or both. See `serving.rpc.authentication.TokenCheck`."""

    def __init__(self, listed: ListedTokens | None, signed: SignedTokens | None) -> None:
        self._listed = listed
        self._signed = signed

    def client(self, token: str) -> str:
        """Return `token:NAME` for a listed token, `jwt:SUBJECT` for a signed one. Raises Unauthenticated."""
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise Unauthenticated("malformed", f"a token has at most {_MAX_TOKEN_CHARACTERS} characters")
        name = None if self._listed is None else self._listed.find(token)
        if name is not None:
            return f"token:{name}"
        if self._signed is None:
            raise Unauthenticated("unknown", "the token is unknown")
        return f"jwt:{self._signed.subject(token)}"


def token_check(settings: OrchestratorSettings) -> BearerTokens | None:
    """Build the token check from the settings; None if calls need no token. Raises BadSettings."""
    if settings.tokens_file is None and settings.jwt_keys_file is None:
        return None
    listed = None if settings.tokens_file is None else ListedTokens(settings.tokens_file)
    signed = None
    if settings.jwt_keys_file is not None:
        signed = SignedTokens(settings.jwt_keys_file, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    return BearerTokens(listed, signed)


def _listed(contents: Sequence[bytes]) -> list[tuple[bytes, str]]:
    try:
        lines = contents[0].decode().splitlines()
    except UnicodeDecodeError:
        raise ValueError("the tokens file is not UTF-8 text") from None
    entries: dict[bytes, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, _, digits = line.strip().partition(":")
        digits = digits.strip().lower()
        if not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digits):
            # The message must not quote the line: it may contain a plain token.
            raise ValueError(f"line {number} of the tokens file is not NAME:SHA256 with 64 hexadecimal digits")
        digest = bytes.fromhex(digits)
        if entries.setdefault(digest, name) != name:
            raise ValueError(f"line {number} of the tokens file has the same token for {name} as for {entries[digest]}")
    return list(entries.items())


def _key_set(contents: Sequence[bytes]) -> dict[str | None, jwt.PyJWK]:
    """Return the keys by id; a single key is also stored under None."""
    try:
        stored = parsed(contents[0])["keys"]
        entries = [dict(entry) for entry in stored]
    except (ValueError, TypeError, KeyError):
        raise ValueError('the key set is not JSON of the form {"keys": [...]}') from None
    keys: dict[str | None, jwt.PyJWK] = {}
    signing = [entry for entry in entries if entry.get("use", "sig") == "sig"]
    for number, entry in enumerate(signing, 1):
        kid = entry.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise ValueError(f"key {number} of the key set has a kid that is not a string")
        if (kid is None and len(signing) > 1) or kid in keys:
            raise ValueError(f"key {number} of the key set needs a unique kid")
        keys[kid] = _key(entry, f"key {number} of the key set")
    if not keys:
        raise ValueError("the key set has no key for signatures")
    if len(keys) == 1:
        keys[None] = next(iter(keys.values()))
    return keys


def _key(entry: Mapping[str, Any], what: str) -> jwt.PyJWK:
    kind = entry.get("kty")
    algorithm = _ALGORITHMS.get(kind) if isinstance(kind, str) else None
    curve = _CURVES.get(str(kind))
    if algorithm is None or entry.get("crv") != curve or entry.get("alg", algorithm) != algorithm:
        raise ValueError(f"{what} is not a key for RS256, ES256, EdDSA or HS256")
    if kind != "oct" and "d" in entry:
        raise ValueError(f"{what} is a private key; put only its public half into the key set")
    try:
        key = jwt.PyJWK(dict(entry), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise ValueError(f"{what} cannot be read as a {kind} key") from None
    if isinstance(key.key, RSAPublicKey) and key.key.key_size < _LEAST_RSA_BITS:
        raise ValueError(f"{what} has {key.key.key_size} bits, expected at least {_LEAST_RSA_BITS}")
    if isinstance(key.key, bytes) and len(key.key) < _LEAST_SECRET_BYTES:
        raise ValueError(f"{what} has {len(key.key)} bytes, expected at least {_LEAST_SECRET_BYTES}")
    return key


_REFUSALS: Final[tuple[tuple[type[jwt.PyJWTError], str, str], ...]] = (
    (jwt.ExpiredSignatureError, "expired", "the token has expired"),
    (jwt.ImmatureSignatureError, "not_yet", "the token is not valid yet"),
    (jwt.InvalidAudienceError, "audience", "the token is for another audience"),
    (jwt.InvalidIssuerError, "issuer", "the token is from another issuer"),
    (jwt.MissingRequiredClaimError, "incomplete", "the token needs exp, sub, iss and aud"),
    (jwt.InvalidAlgorithmError, "algorithm", "the token's algorithm does not match its key"),
    (jwt.InvalidSignatureError, "signature", "the token's signature is wrong"),
)


def _refusal(error: jwt.PyJWTError) -> Unauthenticated:
    for kind, reason, message in _REFUSALS:
        if isinstance(error, kind):
            return Unauthenticated(reason, message)
    return Unauthenticated("malformed", "the token cannot be read")
