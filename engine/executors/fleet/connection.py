"""The connection to the server of a fleet, and the store for messages that are too large for it.

Effects: network; reads certificates and, for secrets, this process's environment. Off this machine it insists on TLS
or an API key: whoever can write to the server's namespace has workers run programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from temporalio.api.workflowservice.v1 import DescribeActivityExecutionRequest, DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import GrpcCompression, RPCError, RPCStatusCode, TLSConfig

from engine.errors import EnvironmentFault, InputError
from engine.executors.fleet.sealing import KEY_VARIABLE, Sealer, parse_key
from engine.executors.fleet.store import INVALID, SECONDS, Store, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.api.workflowservice.v1 import DescribeActivityExecutionResponse
    from temporalio.client import ActivityHandle

    from engine.ids import AttemptId

API_KEY_VARIABLE = "ORCHESTRATE_FLEET_API_KEY"
UNREACHABLE = "FLEET_UNREACHABLE"
_LONG_POLL = timedelta(seconds=30)
"""How long a call may take for which the server waits until it has news."""
INLINE = 256 * 1024
"""Bytes of the largest message that goes through the server itself."""
_ARENAS = -8
"""`M_ARENA_MAX` of the GNU C library: it keeps a heap for each of many threads, and the client starts dozens."""
LARGEST = 1_900_000
"""The same without a store for larger ones: the server takes no more than 2 MB."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fleet is, and how to speak with it."""

    connect: str
    """Host and port."""
    namespace: str = "default"
    blobs: str | None = None
    """The URL of the store for large messages: `s3://…`, `gs://…`, `az://…` or `file://…`."""
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    insecure: bool = False
    """Whether it may be on another machine without TLS or an API key; it needs a payload key then."""


class Link:
    """An open connection to a fleet. Calls that need the store raise `StoreFault` if that fails."""

    def __init__(self, client: Client, sealer: Sealer, store: Store | None) -> None:
        self.client = client
        self._sealer = sealer
        self._store = store

    async def described(self, attempt: AttemptId, known: bytes) -> DescribeActivityExecutionResponse:
        """An attempt on the server, once it is no longer as in the answer with the token *known*; empty: it still is.

        Many attempts wait for a slot for long: without the token each would be asked about again and again.
        """
        request = DescribeActivityExecutionRequest(
            namespace=self.client.namespace,
            activity_id=attempt,
            include_heartbeat_details=True,
            long_poll_token=known,
        )
        return await self.client.workflow_service.describe_activity_execution(request, timeout=_LONG_POLL)

    async def pack(self, data: bytes, about: str) -> bytes:
        """*data* sealed, or a reference to where it is stored so. Raises `ValueError` if it is too large."""
        sealed = self._sealer.seal(data, about)
        if len(sealed) <= INLINE or (self._store is None and len(sealed) <= LARGEST):
            return b"=" + sealed
        if self._store is None:
            message = f"it has {len(sealed):,} bytes, and without `blobs` a fleet passes on at most {LARGEST:,}"
            raise ValueError(message)
        return b"@" + (await self._store.put(sealed)).encode()

    async def unpack(self, data: bytes, about: str) -> bytes:
        """The content of `pack`. Raises `ValueError` if it cannot be read here, as with another key."""
        if data[:1] == b"@":
            if self._store is None:
                message = "it is in the store of the fleet, and no `blobs` are configured here"
                raise ValueError(message)
            return self._sealer.open(await self._store.get(data[1:].decode("ascii")), about)
        return self._sealer.open(data[1:], about)

    async def check_store(self) -> None:
        """Raise `StoreFault`, within ten seconds, if there is a store and nothing can be stored in it."""
        if self._store is not None:
            await self._store.check()

    @property
    def shares(self) -> bool:
        """Whether there is a store, so that something can be shared under a name."""
        return self._store is not None

    async def share(self, key: str, data: bytes) -> None:
        """Put *data*, sealed, into the store as *key*. Raises `ValueError` if that is not possible."""
        await self._shared_store().put(await asyncio.to_thread(self._sealer.seal, data, key), key)

    async def shared(self, key: str, *, largest: int) -> bytes:
        """The data that was shared as *key*, at most *largest* bytes. Raises `ValueError` if it cannot be read here."""
        sealed = await self._shared_store().get(key, largest=largest)
        return await asyncio.to_thread(self._sealer.open, sealed, key)

    def _shared_store(self) -> Store:
        if self._store is None:
            message = "no `blobs` are configured here"
            raise ValueError(message)
        return self._store


async def connect(
    address: Address, environment: Mapping[str, str] = os.environ, *, identity: str | None = None
) -> Link:
    """Connect to the fleet at *address* as *identity*, with the secrets in *environment*.

    Raises `EnvironmentFault` (FLEET_UNREACHABLE), within ten seconds and also for a certificate that does not fit or a
    namespace that does not exist, and `InputError` (INVALID_FLEET).
    """
    key = environment.get(KEY_VARIABLE)
    sealer = Sealer(parse_key(key) if key else None)
    api_key = environment.get(API_KEY_VARIABLE) or None
    check_guard(address, keyed=bool(key), api_key=api_key is not None)
    tls = await asyncio.to_thread(_tls, address)
    store = Store(address.blobs) if address.blobs else None
    try:
        async with asyncio.timeout(SECONDS):
            client = await Client.connect(
                address.connect,
                namespace=address.namespace,
                tls=tls or api_key is not None,
                api_key=api_key,
                identity=identity,
                runtime=_runtime(),
                grpc_compression=GrpcCompression.NONE,  # it costs more than a kilobyte is worth, and ciphertext stays
            )
            await _check_namespace(client, address)
    except (RuntimeError, RPCError, TimeoutError) as error:
        raise unreachable(address, error) from error
    return Link(client, sealer, store)


async def _check_namespace(client: Client, address: Address) -> None:
    """Raise `EnvironmentFault` (FLEET_UNREACHABLE) if the server has no such namespace: any later call would fail."""
    try:
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=address.namespace))
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            return  # who may work in a namespace need not be allowed to look at it
        raise EnvironmentFault(
            f'the fleet at {address.connect} has no namespace "{address.namespace}"',
            code=UNREACHABLE,
            hint=f"Make it (`temporal operator namespace create -n {address.namespace}`), or correct `namespace` of "
            "[fleet] and `--namespace` of workers.",
        ) from error


def few_heaps() -> None:
    """Keep few heaps from now on: best before there are threads, each of which may have begun one."""
    with contextlib.suppress(AttributeError):  # not the GNU C library
        ctypes.CDLL(None).mallopt(_ARENAS, 2)


@functools.cache
def _runtime() -> Runtime:
    """The library without its log: it would write to stdout, which belongs to the client of an MCP server."""
    few_heaps()
    runtime = Runtime(telemetry=TelemetryConfig(logging=None))
    # Never freed: when the interpreter ends, that would wait for threads of the library, and one with the answer to a
    # call that is still open waits for the interpreter. The process would not exit.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(runtime))
    return runtime


async def result_of(handle: ActivityHandle[bytes]) -> bytes:
    """The result of an activity, as the library's own `result`, which takes a call that was cut for our cancellation.

    An overloaded server cuts one now and then. Raises `RPCError` for it.
    """
    try:
        return await handle.result()
    except asyncio.CancelledError as error:
        if isinstance(error.__cause__, RPCError):
            raise error.__cause__ from None
        raise


def unreachable(address: Address, error: BaseException) -> EnvironmentFault:
    """The fault for a fleet that does not answer."""
    why = str(error).strip().splitlines()
    return EnvironmentFault(
        f"the fleet at {address.connect} cannot be reached: {why[0][:300] if why else 'no answer'}",
        code=UNREACHABLE,
        hint="Start its server, or correct `connect` and the `tls_` settings of [fleet].",
    )


def check_guard(address: Address, *, keyed: bool, api_key: bool) -> None:
    """Raise `InputError` (INVALID_FLEET) for a server on another machine that anyone there could give orders to."""
    if is_loopback(address.connect) or api_key or address.tls_ca or address.tls_cert:
        return
    if not (address.insecure and keyed):
        raise InputError(
            f"the fleet at {address.connect} is on another machine, and has neither TLS nor an API key",
            code=INVALID,
            hint=f"Set `tls_ca`, `tls_cert` and `tls_key`, or {API_KEY_VARIABLE}. In a private network, `insecure` "
            f"together with {KEY_VARIABLE} does without.",
        )


def _tls(address: Address) -> TLSConfig | None:
    places = (address.tls_ca, address.tls_cert, address.tls_key)
    if not any(places):
        return None
    try:
        ca, cert, key = (Path(place).read_bytes() if place else None for place in places)
    except OSError as error:
        raise InputError(f"a certificate of the fleet cannot be read: {error}", code=INVALID) from error
    return TLSConfig(server_root_ca_cert=ca, client_cert=cert, client_private_key=key)
