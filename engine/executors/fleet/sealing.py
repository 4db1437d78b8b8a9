"""Encrypts what a coordinator and its workers send through a server and a store that others may read.

Effects: asks the system for random numbers. AES-256-GCM, with a key that only the coordinator and the workers have.
Each message says what it is about, so that none can be passed off as another: an order of one attempt as that of a
second, or an answer as an order.
"""

from __future__ import annotations

import os
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.errors import InputError

KEY_VARIABLE = "ORCHESTRATE_FLEET_KEY"
_PLAIN, _SEALED = b"0", b"1"
_NONCE = 12


class Sealer:
    """Seals and opens messages; without a key they are readable."""

    def __init__(self, key: bytes | None) -> None:
        self._aead = None if key is None else AESGCM(key)

    def seal(self, data: bytes, about: str) -> bytes:
        """*data*, which cannot be read or changed without the key; *about* is needed to open it."""
        if self._aead is None:
            return _PLAIN + data
        nonce = os.urandom(_NONCE)
        return _SEALED + nonce + self._aead.encrypt(nonce, data, about.encode())

    def open(self, data: bytes, about: str) -> bytes:
        """The content of `seal`. Raises `ValueError` if it was made without the key, with another, or is not whole."""
        if self._aead is None:
            if data[:1] != _PLAIN:
                message = f"it is encrypted, and {KEY_VARIABLE} is not set here"
                raise ValueError(message)
            return data[1:]
        if data[:1] != _SEALED:
            message = "it is not encrypted"
            raise ValueError(message)
        nonce, sealed = data[1 : 1 + _NONCE], data[1 + _NONCE :]
        try:
            return self._aead.decrypt(nonce, sealed, about.encode())
        except (InvalidTag, ValueError) as error:
            message = f"it was not encrypted with the {KEY_VARIABLE} of this machine"
            raise ValueError(message) from error


def parse_key(text: str) -> bytes:
    """The key of 32 bytes that 64 hexadecimal digits name. Raises `InputError` (INVALID_FLEET)."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise InputError(
            f"{KEY_VARIABLE} is not a key: it needs 64 hexadecimal digits",
            code="INVALID_FLEET",
            hint="Make one with `openssl rand -hex 32`, and set it for the coordinator and for every worker.",
        )
    return bytes.fromhex(text)
