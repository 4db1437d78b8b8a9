"""Events, claims and values as bytes, and the conversion of older shapes.

Pure. Events are JSON with their class name as kind; a field added later has a default, so that old journals
always decode. Fields of events and nodes that have their defaults are left out: that is half of the bytes.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any, get_args

import msgspec

from engine.run import events as ev
from engine.run.events import ValueRef
from engine.tables.breakers import BreakerState
from engine.tables.claims import Claim

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(ev.Event)}
_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()
"""Held while a decoder is made: msgspec fills its type information step by step, so two threads making decoders of the
same nested types can crash the interpreter. Finished decoders are safe."""
_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="deterministic")


def _decoder(shape: type[Any]) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(shape)
    if decoder is None:
        with _making:
            decoder = _decoders[shape] = msgspec.json.Decoder(shape)
    return decoder


def encode_event(event: ev.Event) -> tuple[str, bytes]:
    """Kind and JSON of *event*; equal plans have equal bytes, in whatever order their sets were hashed."""
    encoder = _canonical if type(event) is ev.RunCreated else _encoder
    return type(event).__name__, encoder.encode(event)


def decode_event(kind: str, data: bytes) -> ev.Event:
    """The event that `encode_event` encoded. Raises `ValueError` if *kind* and *data* are not an event."""
    shape = _KINDS.get(kind)
    if shape is None:
        message = f"unknown event type {kind!r}"
        raise ValueError(message)
    try:
        event: ev.Event = _decoder(shape).decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        message = f"an event of type {kind} is damaged: {error}"
        raise ValueError(message) from error
    return event


def encode_claim(claim: Claim) -> bytes:
    """JSON of one row of the lock table."""
    return _encoder.encode(claim)


def decode_claim(data: bytes) -> Claim:
    """The claim that `encode_claim` encoded."""
    claim: Claim = _decoder(Claim).decode(data)
    return claim


def encode_breaker(state: BreakerState) -> bytes:
    """JSON of one circuit breaker."""
    return _encoder.encode(state)


def decode_breaker(data: bytes) -> BreakerState:
    """The breaker that `encode_breaker` encoded."""
    state: BreakerState = _decoder(BreakerState).decode(data)
    return state


def encode_value(value: Any) -> tuple[ValueRef, bytes]:  # noqa: ANN401 - any JSON value
    """Canonical JSON of *value*, and the reference by which it is stored once."""
    data = _canonical.encode(value)
    return ValueRef(digest_of(data), len(data)), data


def digest_of(data: bytes) -> str:
    """The key under which a value with the canonical JSON *data* is stored."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def decode_value(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The value that `encode_value` encoded."""
    return msgspec.json.decode(data)
