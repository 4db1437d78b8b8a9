"""Events, claims and values as bytes, and the lifting of older shapes.

Pure. Events are JSON with their class name as kind; a field that was added later has a default, so that old journals
always decode.
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
"""Two threads that make decoders of the same nested types at once crash the interpreter: msgspec fills what it knows of
a type bit by bit. Decoders that are made are safe."""
_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="deterministic")


def _decoder(shape: type[Any]) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(shape)
    if decoder is None:
        with _making:
            decoder = _decoders[shape] = msgspec.json.Decoder(shape)
    return decoder


def encode_event(event: ev.Event) -> tuple[str, bytes]:
    """Kind and JSON of *event*; equal plans give equal bytes, in whatever order their sets were hashed."""
    encoder = _canonical if type(event) is ev.RunCreated else _encoder
    return type(event).__name__, encoder.encode(event)


def decode_event(kind: str, data: bytes) -> ev.Event:
    """The event that `encode_event` gave *kind* and *data* for. Raises `ValueError` where they are no event."""
    shape = _KINDS.get(kind)
    if shape is None:
        message = f"nobody knows events of kind {kind!r}"
        raise ValueError(message)
    try:
        event: ev.Event = _decoder(shape).decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        message = f"an event of kind {kind} is damaged: {error}"
        raise ValueError(message) from error
    return event


def encode_claim(claim: Claim) -> bytes:
    """JSON of one row of the lock table."""
    return _encoder.encode(claim)


def decode_claim(data: bytes) -> Claim:
    """The claim that `encode_claim` gave *data* for."""
    claim: Claim = _decoder(Claim).decode(data)
    return claim


def encode_breaker(state: BreakerState) -> bytes:
    """JSON of one circuit breaker."""
    return _encoder.encode(state)


def decode_breaker(data: bytes) -> BreakerState:
    """The breaker that `encode_breaker` gave *data* for."""
    state: BreakerState = _decoder(BreakerState).decode(data)
    return state


def encode_value(value: Any) -> tuple[ValueRef, bytes]:  # noqa: ANN401 - any JSON value
    """Canonical JSON of *value*, and the reference by which it is stored once."""
    data = _canonical.encode(value)
    return ValueRef(digest_of(data), len(data)), data


def digest_of(data: bytes) -> str:
    """The name by which a value is stored whose canonical JSON is *data*."""
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def decode_value(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The value that `encode_value` gave *data* for."""
    return msgspec.json.decode(data)
