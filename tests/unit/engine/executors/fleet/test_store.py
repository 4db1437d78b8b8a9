"""Which stores a fleet may have, and what is said of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError
from engine.executors.fleet.store import Store, StoreFault

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "top-secret-value"  # noqa: S105 - to look for
VARIABLES = ("AWS_", "AZURE_", "GOOGLE_")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415 - only here

    for name in [name for name in os.environ if name.startswith(VARIABLES)]:
        monkeypatch.delenv(name)


def refusal(url: str) -> InputError:
    with pytest.raises(InputError) as refused:
        Store(url)
    assert refused.value.code == "INVALID_FLEET"
    assert refused.value.hint
    assert "\n" not in refused.value.message
    assert SECRET not in f"{refused.value}"
    return refused.value


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:bucket",
        "s3:///prefix",
        f"s3://key:{SECRET}@bucket/prefix",
        f"s3://bucket/prefix?key={SECRET}",
        "s3://bucket/prefix#part",
        "http://store.example/prefix",
        "memory:///",
        "/shared/folder",
        "file://shared/folder",
        "s3://[bucket/prefix",
        "",
    ],
)
def test_what_is_not_the_url_of_a_store_is_refused_and_not_repeated(url: str) -> None:
    assert refusal(url).message == "`blobs` is not the URL of a store"


def test_a_container_of_azure_needs_the_name_of_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = refusal("az://container/prefix")
    assert ("Account must be specified" in refused.message, "AZURE_STORAGE_ACCOUNT_NAME" in str(refused.hint)) == (
        True,
        True,
    )
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    Store("az://container/prefix")


def test_a_bucket_of_google_is_accepted_unless_its_key_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Store("gs://bucket/prefix")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "none.json"))
    refused = refusal("gs://bucket/prefix")
    assert ("none.json" in refused.message, "GOOGLE_SERVICE_ACCOUNT" in str(refused.hint)) == (True, True)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3"])
def test_a_service_without_tls_may_only_be_on_this_machine(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("http://127.0.0.1:9000", "http://localhost", "http://[::1]:9000", "https://store.example"):
        monkeypatch.setenv(name, address)
        Store("s3://bucket/prefix")
    monkeypatch.setenv(name, f"http://user:{SECRET}@10.0.0.7:9000")
    assert "has no TLS" in refusal("s3://bucket/prefix").message
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    Store("s3://bucket/prefix")


async def test_a_store_of_azure_does_not_show_its_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", f"sv=1&sig={SECRET}")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "https://127.0.0.1:1")
    with pytest.raises(StoreFault) as fault:
        await Store("az://container/prefix").check()
    assert SECRET not in f"{fault.value}"


async def test_a_folder_is_a_store_if_it_can_be_written(tmp_path: Path) -> None:
    await Store(f"file://{tmp_path}").check()
    assert "cannot be used: " in refusal(f"file://{tmp_path / 'none'}").message
    store = Store(f"file://{tmp_path}")
    (tmp_path / "messages").write_text("not a folder")
    with pytest.raises(StoreFault, match="failed: ") as fault:
        await store.put(b"x")
    assert "\n" not in fault.value.message
