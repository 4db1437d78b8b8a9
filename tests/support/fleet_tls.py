"""A gate before the server of a fleet: it wants TLS, certificates or an API key, which the development server has not.

Effects: listens on a port of this machine; writes certificates.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 10.0
PREFACE = 24
"""Bytes before the first frame of HTTP/2."""
HEADERS = 1
CODES = {
    "0": "00000",
    "1": "00001",
    "2": "00010",
    "a": "00011",
    "c": "00100",
    "e": "00101",
    " ": "010100",
    "r": "101100",
    "B": "1011101",
}
"""How HTTP/2 shortens these characters (RFC 7541, appendix B)."""


class Authority:
    """Makes certificates, as files in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._pem(self._certificate(self._name, self._key.public_key(), authority=True)))

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for this machine, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        place, secret = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        place.write_bytes(self._pem(self._certificate(subject, key.public_key(), authority=False)))
        form = serialization.PrivateFormat.PKCS8
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return place, secret

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)  # noqa: TID251 - the library on the other side has no other clock either
        here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        builder = x509.CertificateBuilder(self._name, subject, key, x509.random_serial_number())
        return (
            builder.not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(here, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @staticmethod
    def _pem(certificate: x509.Certificate) -> bytes:
        return certificate.public_bytes(serialization.Encoding.PEM)


class Gate:
    """Lets through to a server who has a certificate of *clients*, and who sends *api_key* with each request."""

    def __init__(
        self, port: int, server: tuple[Path, Path], *, clients: Authority | None = None, api_key: str | None = None
    ) -> None:
        """*port* is the server's; *server* the certificate of the gate, and its key."""
        self._port = port
        self._wanted = None if api_key is None else shortened(f"Bearer {api_key}")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*server)
        self._context.set_alpn_protocols(["h2"])
        if clients is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(clients.file)
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.address = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(SECONDS)

    async def _listen(self) -> str:
        self._listener = await asyncio.start_server(self._passed, "127.0.0.1", 0, ssl=self._context)
        return f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    async def _passed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(reader, far_writer))
                group.create_task(_pass(far_reader, writer))
        except* (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            for one in (far_writer, writer):
                one.transport.abort()
                with contextlib.suppress(OSError):
                    await one.wait_closed()
            self._tasks.discard(task)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(PREFACE))
        while True:
            head = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(head[:3]))
            if head[3] == HEADERS and self._wanted is not None and self._wanted not in payload:
                raise ConnectionRefusedError
            writer.write(head + payload)
            await writer.drain()

    def close(self) -> None:
        """End it, and all that passes."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    async def _end(self) -> None:
        self._listener.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._listener.wait_closed()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ssl.SSLError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    raise ConnectionResetError


def shortened(text: str) -> bytes:
    """*text* as HTTP/2 sends the value of a header."""
    bits = "".join(CODES[one] for one in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)
