"""The server of the live page: who may use it, what it sends, and what can be done with a run there."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import signal
import subprocess
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
import pytest

from engine.errors import EnvironmentFault
from engine.runtime import run_notes
from mcp_server.live import watching
from mcp_server.live.access import Secrets
from mcp_server.live.page import page
from mcp_server.live.server import serve_page
from mcp_server.project.loopback import loopback
from mcp_server.project.project import RunRequest, open_project
from mcp_server.project.reading import open_runs
from tests.interaction.projects import environment, open_gate
from tests.interaction.promises import keeps
from tests.support.feeds import Reader, news_of
from tests.support.installed import ORCHESTRATE
from tests.support.trust import trust_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from engine.ids import RunId
    from engine.run.events import Event
    from mcp_server.project.project import Project

WAIT_SECONDS = 30
INTERRUPTED = 130
"""The exit code of what a signal has ended."""


class Page(NamedTuple):
    """A server, and a browser that has opened its address."""

    browser: httpx2.AsyncClient
    known: Secrets

    @property
    def origin(self) -> dict[str, str]:
        """The header of a request by the page itself."""
        return {"Origin": f"http://127.0.0.1:{self.known.port}"}

    async def post(self, path: str, data: object, **headers: str) -> httpx2.Response:
        return await self.browser.post(f"api/runs/{path}", json=data, headers={**self.origin, **headers})

    @contextlib.asynccontextmanager
    async def events(self, path: str) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, Any]]]]:
        """The events of a stream, each with its kind."""
        async with self.browser.stream("GET", f"api/{path}") as stream:
            assert stream.status_code == 200

            async def found() -> AsyncIterator[tuple[str, dict[str, Any]]]:
                kind = "message"
                async for line in stream.aiter_lines():
                    if line.startswith("event: "):
                        kind = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        yield kind, json.loads(line.removeprefix("data: "))

            yield found()


@contextlib.asynccontextmanager
async def served(project: Path) -> AsyncIterator[Page]:
    """The live page of *project*, and a browser with its cookie."""
    begun: asyncio.Future[Secrets] = asyncio.get_running_loop().create_future()
    async with open_runs(project, home=project / "home") as runs:
        task = asyncio.create_task(serve_page(runs, port=0, opened=begun.set_result, home=project / "home"))
        try:
            known = await begun
            base = f"http://127.0.0.1:{known.port}{known.base}/"
            async with httpx2.AsyncClient(base_url=base, timeout=WAIT_SECONDS) as browser:
                first = await browser.get("", params={"token": known.token})
                assert first.status_code == 200
                yield Page(browser, known)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def owner(project: Path) -> AsyncIterator[Project]:
    """Another program with runs of the same project."""
    async with open_project(project, home=project / "home") as found:
        yield found


async def follow(page: Page, run_id: RunId, *, until: str) -> Reader:
    """Follow a run until it is in a state; gives all that was received."""
    reader = Reader()
    async with asyncio.timeout(WAIT_SECONDS), page.events(f"runs/{run_id}/events") as events:
        async for kind, data in events:
            assert kind == "message", data
            reader.take(news_of(data))
            if reader.document["run"]["state"] == until:
                return reader
    raise AssertionError(reader.document["run"]["state"])


async def snapshot(page: Page, path: str) -> tuple[str, dict[str, Any]]:
    async with asyncio.timeout(WAIT_SECONDS), page.events(path) as events:
        return await anext(events)


async def simulated(project: Path) -> RunId:
    async with owner(project) as other:
        return await other.start(RunRequest(source="/hello", executor="simulate"))


@keeps("live-page")
async def test_the_token_opens_the_page_once_and_leaves_a_cookie_that_only_this_server_gets(project: Path) -> None:
    async with served(project) as page:
        first = await page.browser.get("", params={"token": page.known.token})
        [morsel] = SimpleCookie(first.headers["set-cookie"]).values()
        assert (morsel["path"], morsel["samesite"], morsel["httponly"]) == (page.known.base, "Strict", True)
        assert str(page.known.port) in morsel.key
        assert page.known.token not in morsel.value
        assert (await page.browser.get("api/hello")).status_code == 200


@keeps("live-page")
async def test_a_browser_without_the_secret_gets_nothing(project: Path) -> None:
    run_id = await simulated(project)
    async with served(project) as page, httpx2.AsyncClient(base_url=page.browser.base_url) as stranger:
        for path in ("", f"runs/{run_id}", "api/hello", "api/events", f"api/runs/{run_id}/node"):
            for params in ({}, {"token": "another"}, {"token": ""}):
                answer = await stranger.get(path, params=params)
                assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
                assert "VIEW_TOKEN_NEEDED" in answer.text
                assert "orchestrate view" in answer.text
        assert (await stranger.get("api/hello", headers={"Cookie": f"{page.known.cookie_name}=x"})).status_code == 401


@pytest.mark.parametrize(
    "other",
    ["flag", "foo[bar]=1", "path=x", '{"a": 1}', 'x="unclosed', "b=a b", "\xe4=1", "a:b=1", "{ours}=x", "={ours}"],
)
@keeps("live-page")
async def test_cookies_of_other_servers_of_this_host_do_not_hide_ours(project: Path, other: str) -> None:
    async with served(project) as page, httpx2.AsyncClient(base_url=page.browser.base_url) as browser:
        theirs = other.replace("{ours}", page.known.cookie_name)
        ours = f"{page.known.cookie_name}={page.known.cookie}"
        for sent, status in ((f"{theirs}; {ours}", 200), (f"{ours}; {theirs}", 200), (theirs, 401)):
            answer = await browser.get("api/hello", headers=[(b"Cookie", sent.encode("latin-1"))])
            assert answer.status_code == status


@keeps("live-page")
def test_the_port_that_browsers_leave_out_of_the_host_may_be_left_out() -> None:
    assert Secrets(80).hosts == {"127.0.0.1", "localhost", "127.0.0.1:80", "localhost:80"}
    assert Secrets(8080).hosts == {"127.0.0.1:8080", "localhost:8080"}


@pytest.mark.parametrize(
    "foreign",
    [
        {"Host": "attacker.example"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@keeps("live-page")
async def test_a_foreign_page_gets_nothing_though_the_browser_sends_the_cookie(
    project: Path, foreign: dict[str, str]
) -> None:
    async with served(project) as page:
        answer = await page.browser.get("api/hello", headers=foreign)
        assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_REQUEST")


@keeps("live-page")
async def test_an_address_that_is_followed_from_another_program_opens_the_page(project: Path) -> None:
    async with served(project) as page:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        opened = await page.browser.get("", params={"token": page.known.token}, headers=headers)
        assert opened.status_code == 200


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "application/json"}, "{}"),
        ({"Content-Type": "application/json", "Origin": "https://attacker.example"}, "{}"),
        ({"Content-Type": "text/plain", "Origin": "ours"}, "{}"),
        ({"Content-Type": "application/x-www-form-urlencoded", "Origin": "ours"}, "compensate=true"),
    ],
    ids=str,
)
@keeps("live-page")
async def test_a_run_is_cancelled_only_by_a_request_that_no_other_page_can_send(
    project: Path, headers: dict[str, str], body: str
) -> None:
    async with owner(project) as other, served(project) as page:
        run_id = await other.start(RunRequest(source="/ask"))
        sent = {key: page.origin["Origin"] if value == "ours" else value for key, value in headers.items()}
        answer = await page.browser.post(f"api/runs/{run_id}/cancel", content=body, headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_REQUEST")
        assert (await other.view(run_id)).run.stop is None


@keeps("live-page")
async def test_the_page_runs_its_own_script_and_no_other(project: Path) -> None:
    async with served(project) as page_:
        answer = await page_.browser.get("")
        policy = answer.headers["content-security-policy"]
        for tag in ("script", "style"):
            [text] = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
            assert f"{tag}-src 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert answer.text == page()


@keeps("live-page")
async def test_patches_of_a_run_of_another_process_lead_to_what_a_new_page_gets(project: Path) -> None:
    async with owner(project) as other, served(project) as page:
        run_id = await other.start(RunRequest(source="/wait"))
        following = asyncio.create_task(follow(page, run_id, until="completed"))
        await asyncio.to_thread(open_gate, project)
        reader = await following
        kind, data = await snapshot(page, f"runs/{run_id}/events")
        assert (kind, data["snapshot"]) == ("message", reader.document)
        assert reader.number > 1
        assert data["atMs"] > 0
        assert reader.document["nodes"]["gate-keeper"]["state"] == "completed"


@keeps("live-page")
async def test_two_pages_share_one_look_that_ends_after_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LINGER_SECONDS", 0.0)
    run_id = await simulated(project)
    async with open_runs(project, home=project / "home") as runs:
        looks = watching.Watching(runs)
        async with looks.run(run_id) as one, looks.run(run_id) as other:
            assert one is other
            first, second = await asyncio.gather(*(each.news(0, seconds=WAIT_SECONDS) for each in (one, other)))
            assert first.snapshot == second.snapshot
            assert not await one.news(first.number, seconds=0.01)
            task = one.task
        assert task is not None
        await asyncio.wait_for(task, WAIT_SECONDS)
        async with looks.run(run_id) as again:
            assert again is not one
            assert (await again.news(first.number, one.feed.name, seconds=WAIT_SECONDS)).snapshot is not None
        await looks.close()


@keeps("live-page")
async def test_pages_of_several_runs_do_not_read_each_other_out_of_memory(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [await simulated(project) for _ in range(3)]
    async with open_runs(project, home=project / "home") as runs:
        engine = await runs.reader()
        read: list[tuple[RunId, int]] = []
        events = engine.storage.events

        async def counted(run_id: RunId, since: int = 0) -> Sequence[Event]:
            read.append((run_id, since))
            return await events(run_id, since)

        monkeypatch.setattr(engine.storage, "events", counted)
        for _ in range(3):
            for run_id in shown:
                assert (await runs.view(run_id)).run.id == run_id
        assert [run_id for run_id, since in read if since == 0] == shown


@keeps("live-page")
async def test_a_run_that_is_removed_while_it_is_shown_says_so(project: Path) -> None:
    run_id = await simulated(project)
    async with owner(project) as other, served(project) as page, page.events(f"runs/{run_id}/events") as events:
        assert (await anext(events))[1]["snapshot"]["run"]["id"] == run_id
        await other.prune(keep=0)
        async with asyncio.timeout(WAIT_SECONDS):
            kind, data = await anext(events)
        assert (kind, data["code"]) == ("failure", "RUN_NOT_FOUND")
        assert [event async for event in events] == []
        assert (await page.browser.get(f"api/runs/{run_id}/node?name=x")).status_code == 404


@keeps("live-page")
async def test_the_list_has_the_runs_that_are_asked_for_and_follows_them(project: Path) -> None:
    run_id = await simulated(project)
    async with owner(project) as other, served(project) as page:
        async with page.events("events?state=completed&command=hello&grep=HELLO") as events:
            found = Reader()
            found.take(news_of((await anext(events))[1]))
            assert list(found.document["runs"]) == [run_id]
            later = await other.start(RunRequest(source="/hello", executor="simulate"))
            async with asyncio.timeout(WAIT_SECONDS):
                found.take(news_of((await anext(events))[1]))
            rows = found.document["runs"]
            assert sorted(rows, key=lambda one: rows[one]["place"]) == [later, run_id]
        assert (await snapshot(page, "events?state=failed"))[1]["snapshot"] == {"runs": {}}
        kind, data = await snapshot(page, "events?state=nonsense")
        assert (kind, data["code"]) == ("failure", "INVALID_ARGUMENT")


@keeps("live-page")
async def test_a_node_is_shown_with_its_prompt_its_log_and_its_outputs(project: Path) -> None:
    async with owner(project) as other, served(project) as page:
        run_id = await other.start(RunRequest(source="/hello"))
        await follow(page, run_id, until="completed")
        ask = {"name": "first-greeting"}
        node = (await page.browser.get(f"api/runs/{run_id}/node", params=ask)).json()
        assert node["prompt"]
        assert [one["state"] for one in node["attempts"]] == ["completed"]
        assert (
            "thinking of first-greeting"
            in (await page.browser.get(f"api/runs/{run_id}/log", params=ask)).json()["text"]
        )
        outputs = (await page.browser.get(f"api/runs/{run_id}/outputs", params=ask)).json()
        assert outputs == {"greeting": "hello from first-greeting"}
        for part in ("node", "log", "outputs"):
            missing = await page.browser.get(f"api/runs/{run_id}/{part}", params={"name": "second"})
            assert missing.status_code == 404
            assert missing.json()["code"] in {"NODE_NOT_FOUND", "OUTPUT_NOT_FOUND"}


@keeps("live-page")
async def test_a_secret_in_an_output_does_not_reach_the_page(project: Path) -> None:
    told = (
        'print(json.dumps({"outputs": {"report": "the password=hunter22 works", "short": {"password": "hunter22"}}}))'
    )
    (project / "large.py").write_text(f"import json\n{told}\n", encoding="utf-8")
    trust_all(project, project / "home")
    async with owner(project) as other, served(project) as page:
        run_id = await other.start(RunRequest(source="/large"))
        await follow(page, run_id, until="completed")
        found = await page.browser.get(f"api/runs/{run_id}/outputs", params={"name": "writer"})
        assert "hunter22" not in found.text
        assert "works" in found.json()["report"]


@keeps("live-page")
async def test_a_question_is_answered_on_the_page_and_only_once(project: Path) -> None:
    async with owner(project) as other, served(project) as page:
        run_id = await other.start(RunRequest(source="/ask"))
        _, data = await snapshot(page, f"runs/{run_id}/events")
        assert data["snapshot"]["questions"][0]["answers"] == ["yes", "no"]
        wrong = await page.post(f"{run_id}/decide", {"node": "careful-node", "answer": "perhaps"})
        assert wrong.status_code in {400, 409}
        assert (await page.post(f"{run_id}/decide", {"node": "careful-node", "answer": "yes"})).status_code == 200
        await follow(page, run_id, until="completed")
        late = await page.post(f"{run_id}/decide", {"node": "careful-node", "answer": "yes"})
        assert late.status_code == 409


@keeps("live-page")
async def test_the_list_says_which_runs_wait_for_a_person(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_notes, "NOTE_SECONDS", 0.05)
    async with owner(project) as other, served(project) as page:
        run_id = await other.start(RunRequest(source="/ask"))
        found = Reader()
        async with asyncio.timeout(WAIT_SECONDS), page.events("events") as events:
            while "questions" not in found.document.get("runs", {}).get(run_id, {}):
                found.take(news_of((await anext(events))[1]))
            assert found.document["runs"][run_id]["questions"] == 1
            await page.post(f"{run_id}/decide", {"node": "careful-node", "answer": "yes"})
            while found.document["runs"][run_id]["state"] != "completed":
                found.take(news_of((await anext(events))[1]))
            assert "questions" not in found.document["runs"][run_id]


@keeps("live-page")
async def test_a_run_of_another_process_is_cancelled_on_the_page(project: Path) -> None:
    async with owner(project) as other, served(project) as page:
        run_id = await other.start(RunRequest(source="/wait"))
        assert (await page.post(f"{run_id}/cancel", {})).status_code == 200
        reader = await follow(page, run_id, until="cancelled")
        assert "can" not in reader.document["run"]
        again = await page.post(f"{run_id}/cancel", {})
        assert (again.status_code, again.json()["code"]) == (404, "NOTHING_TO_CANCEL")


@keeps("live-page")
async def test_an_interrupted_run_is_shown_as_one_and_cancelled_without_its_owner(project: Path) -> None:
    async with owner(project) as other:
        run_id = await other.start(RunRequest(source="/wait"))
    async with served(project) as page:
        _, data = await snapshot(page, f"runs/{run_id}/events")
        assert data["snapshot"]["run"]["can"] == ["resume", "cancel"]
        assert (await page.post(f"{run_id}/cancel", {"compensate": False})).status_code == 200
        await follow(page, run_id, until="cancelled")


@pytest.mark.processes
@keeps("live-page")
async def test_an_interrupted_run_is_resumed_on_the_page_in_a_process_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(project / "home" / ".config"))
    async with owner(project) as other:
        run_id = await other.start(RunRequest(source="/wait"))
    async with served(project) as page:
        assert (await page.post(f"{run_id}/resume", {})).status_code == 200
        following = asyncio.create_task(follow(page, run_id, until="completed"))
        await asyncio.to_thread(open_gate, project)
        await following
        refused = await page.post(f"{run_id}/resume", {"failed": True})
        assert refused.status_code >= 400
        assert refused.json()["message"]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"compensate": "yes"}, ": compensate"),
        ({"another": 1}, ": another"),
        ([], ": the body"),
        ("x" * 70_000, "too large"),
    ],
    ids=["type", "name", "list", "size"],
)
@keeps("live-page")
async def test_what_a_page_does_not_send_is_refused_with_its_place(project: Path, data: object, place: str) -> None:
    run_id = await simulated(project)
    async with served(project) as page:
        answer = await page.post(f"{run_id}/cancel", data)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PARAMETERS")
        assert answer.json()["message"].endswith(place)


@pytest.mark.processes
@keeps("live-page")
def test_the_program_ends_at_once_and_quietly_though_a_page_is_open(project: Path) -> None:
    words = [ORCHESTRATE, "view", "--no-open"]
    with subprocess.Popen(
        words, cwd=project, env=environment(project), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = httpx2.URL(process.stdout.readline().strip())
            events = address.copy_with(path=f"{address.path}api/events")
            with httpx2.stream("GET", events, timeout=WAIT_SECONDS) as stream:
                lines = stream.iter_lines()
                assert next(lines).startswith("data: ")
                process.send_signal(signal.SIGINT)
                _, notes = process.communicate(timeout=WAIT_SECONDS)
        finally:
            process.kill()
    assert process.returncode == INTERRUPTED
    assert notes.splitlines() == ["Ctrl+C ends the page; runs go on without it"]


@keeps("live-page")
async def test_a_port_that_is_taken_is_one_error() -> None:
    with loopback() as (_, port), pytest.raises(EnvironmentFault, match="PORT_UNUSABLE"), loopback(port):
        pass
