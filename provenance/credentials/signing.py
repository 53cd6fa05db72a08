"""`ContentCredentials`: signs the files that are written, in themselves or in a sidecar."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, Final

from provenance.credentials.certificate import Identity
from provenance.credentials.errors import CannotSign
from provenance.credentials.manifest import Facts, SyntheticMedia, manifest_of, printable
from provenance.credentials.media_types import MEDIA_TYPES, OTHER_MEDIA_TYPE, media_type_of
from serving.process.atomic_files import hidden_beside
from serving.rpc.server import VERSION

_RELATIONSHIP: Final = "inputTo"
_SETTINGS: Final = {
    "builder": {"thumbnail": {"enabled": False}},  # a smaller picture of the person, for nothing
    "verify": {"verify_after_sign": False, "remote_manifest_fetch": False, "ocsp_fetch": False},
}


KnownSources = dict[Path, dict[str, Any] | None]
"""How each source is stated: the words for one that C2PA cannot read; None for one that it reads itself."""


class ContentCredentials:
    """Signs files with one identity.

    Raises CannotSign for a certificate that C2PA does not accept: at once, not after hours of work.
    """

    def __init__(self, identity: Identity) -> None:
        import c2pa  # 20 MB, which only commands that write files need

        self.identity = identity
        try:
            info = c2pa.C2paSignerInfo(identity.algorithm.encode(), identity.chain_pem, identity.key_pem, None)
            self._signer = c2pa.Signer.from_info(info)
            with _builder("probe", SyntheticMedia(actor="probe", actor_version=0), {}) as builder:
                builder.set_no_embed()
                builder.sign(self._signer, OTHER_MEDIA_TYPE, io.BytesIO(b"probe"), io.BytesIO())
        except c2pa.C2paError as error:
            raise CannotSign(
                f"the certificate of {identity.name!r} cannot sign Content Credentials: {error}"
            ) from error

    def sign(self, written: Path, name: Path, facts: Facts, known: KnownSources | None = None) -> Path | None:
        """Sign a complete file before it gets its `name`.

        known: what was found about the sources; filled, so that the next file with the same ones need not look again.

        A container that can hold credentials is replaced by one with them. Of another one, return the hidden file with
        its credentials, which the caller renames to `sidecar_of(name)`. Raises CannotSign, OSError.
        """
        import c2pa

        media_type = MEDIA_TYPES.get(name.suffix.lower())
        signed = hidden_beside(written.with_name(f"signed-{written.name}"))
        try:
            with _builder(name.name, facts, {} if known is None else known) as builder, written.open("rb") as unsigned:
                if media_type is None:
                    builder.set_no_embed()
                    signed.write_bytes(builder.sign(self._signer, OTHER_MEDIA_TYPE, unsigned, io.BytesIO()))
                    return signed
                with signed.open("w+b") as file:
                    builder.sign(self._signer, media_type, unsigned, file)
            signed.replace(written)
        except c2pa.C2paError as error:
            signed.unlink(missing_ok=True)
            raise CannotSign(f"{name} cannot be signed: {error}") from error
        except BaseException:
            signed.unlink(missing_ok=True)
            raise
        return None


def _builder(title: str, facts: Facts, known: KnownSources) -> Any:
    import c2pa

    for source in facts.sources:
        if source not in known:
            known[source] = None if _is_parsed(source) else _named(source)
    manifest = manifest_of(facts, title, VERSION)
    manifest["ingredients"] = [found for source in facts.sources if (found := known[source]) is not None]
    builder = c2pa.Builder(manifest, c2pa.Context.from_dict(_SETTINGS))
    for source in facts.sources:
        if known[source] is None:
            try:
                _add(builder, source)
            except OSError:  # it is gone since the last file
                known[source] = _named(source)
                return _builder(title, facts, known)
    return builder


def _add(builder: Any, source: Path) -> None:
    """Add a source with the Content Credentials that it may have."""
    described = {"title": printable(source.name), "relationship": _RELATIONSHIP}
    with source.open("rb") as file:
        builder.add_ingredient(json.dumps(described), media_type_of(source), file)


def _is_parsed(source: Path) -> bool:
    """Whether C2PA can read a source, and keep the Content Credentials that it may have."""
    import c2pa

    try:
        if media_type_of(source) is None:
            return False
        with c2pa.Builder({"claim_generator_info": []}) as probe:
            _add(probe, source)
    except (c2pa.C2paError, OSError):  # it is not what its first bytes say, or it is gone
        return False
    return True


def _named(source: Path) -> dict[str, Any]:
    """A source that C2PA cannot read, as an ingredient: named by its content, or by its name alone if it is gone."""
    described = {"title": printable(source.name), "format": OTHER_MEDIA_TYPE, "relationship": _RELATIONSHIP}
    try:
        with source.open("rb") as file:
            return {**described, "instance_id": f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"}
    except OSError:  # an unplugged disk must not cost an hour's work
        return {**described, "description": "It could not be read when this file was signed."}
