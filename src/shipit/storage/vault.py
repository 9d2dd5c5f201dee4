# SPDX-License-Identifier: MPL-2.0
"""Encryption at rest: the first secret encrypts, all decrypt, and what an older one sealed is sealed anew."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shipit.errors import InvalidInput, ShipitError

SHORTEST = 16


class Unsealable(ShipitError):
    """What is stored cannot be decrypted with any of the secrets, or was sealed for something else."""


class Sealed(msgspec.Struct, frozen=True):
    """Ciphertext, and the fingerprint of the secret that made it."""

    text: str
    secret: str


class _Content(msgspec.Struct, frozen=True):
    owner: str
    value: str


class Vault:
    """Seals values for an owner; a ciphertext that is moved to another owner's row does not open."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """secrets: newest first, each any text of at least 16 characters. Raises InvalidInput."""
        if not secrets or any(len(secret) < SHORTEST for secret in secrets):
            raise InvalidInput(
                "SHIPIT_SECRET_KEY", expected=f"secrets of at least {SHORTEST} characters each"
            )
        derived = [_derived(secret) for secret in secrets]
        self._fernets = {_fingerprint(key): Fernet(key) for key in derived}
        self.newest = _fingerprint(derived[0])

    def __repr__(self) -> str:
        return "Vault(…)"

    def seal(self, owner: str, value: str) -> Sealed:
        """Encrypt with the newest secret."""
        content = msgspec.json.encode(_Content(owner, value))
        return Sealed(self._fernets[self.newest].encrypt(content).decode(), self.newest)

    def open(self, owner: str, sealed: Sealed) -> str:
        """The value. Raises Unsealable."""
        first = self._fernets.get(sealed.secret)
        for fernet in [first] if first is not None else self._fernets.values():
            try:
                content = msgspec.json.decode(fernet.decrypt(sealed.text.encode()), type=_Content)
            except (InvalidToken, msgspec.DecodeError):
                continue
            if content.owner == owner:
                return content.value
        raise Unsealable("a stored key cannot be decrypted with any secret of SHIPIT_SECRET_KEY")


def _derived(secret: str) -> bytes:
    # Whatever its length and alphabet, a secret becomes a key of the right size.
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"shipit: keys at rest").derive(secret.encode())
    return base64.urlsafe_b64encode(key)


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(b"fingerprint " + key).hexdigest()[:16]
