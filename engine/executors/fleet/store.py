"""The store of a fleet: a bucket, or a folder that all machines share, for messages too large for its server.

Effects: network or disk; reads the credentials of the bucket from this process's environment. The messages are
sealed by `connection.py`. A service that is away is asked again for two minutes, except by `check`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from engine.errors import EnvironmentFault, InputError
from engine.text.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

INVALID = "INVALID_FLEET"
SECONDS = 8.0
"""How long `check` takes at most, so that a start fails within ten seconds."""
_PROBE = "check/store"
_PROBED = b"A coordinator or worker has looked whether it can use this store."
_SILENCE = timedelta(seconds=30)
_LONGEST = timedelta(hours=1)
"""Of one request: the library's own limit of 30 seconds ends large downloads over slow lines."""
_PATIENCE = {
    "max_retries": 1000,
    "retry_timeout": timedelta(minutes=2),
    "backoff": {"init_backoff": timedelta(seconds=0.25), "max_backoff": timedelta(seconds=4), "base": 2},
}
"""The library's own ten tries are over within two seconds if nothing listens."""
_HINTS = {
    "s3": "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION for the coordinator and every worker, and for "
    "another service than Amazon's AWS_ENDPOINT_URL. The bucket must exist.",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SERVICE_ACCOUNT to a file with a key, for the coordinator and "
    "every worker. The bucket must exist.",
    "az": "Set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or another credential, for the coordinator "
    "and every worker. The container must exist.",
    "file": "The folder must exist, and be the same for the coordinator and every worker.",
}
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_ALLOW_HTTP = "AWS_ALLOW_HTTP"
_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound"})
_SAID = re.compile(r"<Code>(?P<code>\w+)</Code>(?:\s*<Message>(?P<message>[^<]*)</Message>)?")
_QUERY = re.compile(r"(?<=\w)\?\S*")
"""Of an address: it may hold a signature."""
_METADATA = "169.254.169.254"
"""Where a machine of a cloud gets credentials; the library asks there if it has been given none."""


class StoreFault(EnvironmentFault):
    """The store does not answer, or refuses."""

    code = "FLEET_STORE_FAILED"


class Store:
    """A folder or bucket with messages, by their digests."""

    def __init__(self, url: str) -> None:
        """Raises `InputError` (INVALID_FLEET) if it cannot be used."""
        self._url = _checked(url)
        self._scheme = urlsplit(url).scheme
        self._store = self._opened(_PATIENCE)

    def _opened(self, patience: Any) -> Any:  # noqa: ANN401 - the library's, one class for each kind of store
        from obstore.store import from_url  # noqa: PLC0415 - 16 MB, for fleets with a store only

        client: Any = {"read_timeout": _SILENCE, "timeout": _LONGEST}
        if self._scheme == "s3" and _is_local_endpoint():
            client["allow_http"] = True
        try:
            return from_url(self._url, retry_config=patience, client_options=client)
        except Exception as error:  # the library raises errors of its own for each kind of store
            raise InputError(
                f"the store {self._url} cannot be used: {_reason(error)}", code=INVALID, hint=_HINTS[self._scheme]
            ) from error

    async def check(self) -> None:
        """Raise `StoreFault`, in time for a start, if nothing can be stored here and read again."""
        import obstore  # noqa: PLC0415 - as above

        hasty = self._opened({"max_retries": 0})
        with self._faults():
            async with asyncio.timeout(SECONDS):
                await obstore.put_async(hasty, _PROBE, _PROBED)
                await (await obstore.get_async(hasty, _PROBE)).bytes_async()

    async def put(self, data: bytes, key: str | None = None) -> str:
        """Store *data*; returns its key, by default one that its content determines. Raises `StoreFault`."""
        import obstore  # noqa: PLC0415 - as above

        key = key or f"messages/{hashlib.blake2b(data, digest_size=20).hexdigest()}"
        with self._faults():
            await obstore.put_async(self._store, key, data)
        return key

    async def get(self, key: str, *, largest: int | None = None) -> bytes:
        """The data stored as *key*. Raises `ValueError` if there is none, or it has more than *largest* bytes.

        `StoreFault` if the store does not answer.
        """
        import obstore  # noqa: PLC0415 - as above

        with self._faults():
            try:
                found = await obstore.get_async(self._store, key)
            except FileNotFoundError as error:
                if _code(error) in _NO_BUCKET:
                    raise
                message = f"the store of the fleet has no {key}"
                raise ValueError(message) from error
            if largest is not None and found.meta["size"] > largest:
                message = f"{key} in the store of the fleet has more than {largest:,} bytes"
                raise ValueError(message)
            return bytes(await found.bytes_async())

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Raise `StoreFault` for a store that does not answer, or refuses."""
        from obstore.exceptions import BaseError  # noqa: PLC0415 - as above

        try:
            yield
        except (BaseError, OSError) as error:
            message = f"the store {self._url} of the fleet failed: {_reason(error)}"
            raise StoreFault(message, hint=_HINTS[self._scheme]) from error


def _checked(url: str) -> str:
    """*url*, if it is that of a store, and holds no secret. Raises `InputError` (INVALID_FLEET)."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        is_folder = parts.scheme == "file"
        has_place = bool(parts.path) and not parts.netloc if is_folder else bool(parts.netloc)
        secretive = parts.username is not None or parts.query or parts.fragment
        if parts.scheme in _HINTS and has_place and not secretive and "://" in url:
            return url
    raise InputError(
        "`blobs` is not the URL of a store",
        code=INVALID,
        hint="Use `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///folder`. "
        "Credentials come from the environment.",
    )


def _is_local_endpoint() -> bool:
    """Whether the service of the bucket is on this machine, without TLS. Raises `InputError` if only the latter is."""
    endpoint = next(filter(None, map(os.environ.get, _ENDPOINTS)), "")
    if urlsplit(endpoint).scheme != "http" or os.environ.get(_ALLOW_HTTP):
        return False
    if not is_loopback(f"{urlsplit(endpoint).hostname}:80"):
        raise InputError(
            "the service of the store is on another machine, and has no TLS",
            code=INVALID,
            hint=f"Use an `https://` address. In a private network, {_ALLOW_HTTP}=true does without.",
        )
    return True


def is_loopback(address: str) -> bool:
    """Whether *address*, host and port, is on this machine."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _code(error: Exception) -> str | None:
    """The code of the service, which is in the text of the library's error."""
    found = _SAID.search(str(error))
    return found and found["code"]


def _reason(error: Exception) -> str:
    """The reason in the text of *error*, which is the library's, in one line without addresses' secrets."""
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS:g} s"
    text = str(error).strip()
    if _METADATA in text:
        return "it needs credentials, and there are none"
    if said := _SAID.search(text):
        return redact(": ".join(filter(None, said.groups())))[:300]
    return redact(_QUERY.sub("", text.splitlines()[0] if text else type(error).__name__))[:300]
