"""The files of isolated agents on their way to a worker and back, without a server: both sides are in this process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.executors.answer import failed
from engine.executors.fleet import wire
from engine.executors.fleet.bundles import bundle_of, unwrapped, wrapped
from engine.executors.fleet.clones import Bounds, Clones
from engine.executors.fleet.connection import Link
from engine.executors.fleet.files import ProjectFiles
from engine.executors.port import Outcome
from engine.executors.worktrees.git import IsolationUnavailable
from engine.executors.worktrees.outbox import FileOutbox
from engine.model.policy import FailureKind, Usage
from tests.support.fleet_files import LINES, Answer, Bench
from tests.support.repositories import branches, git, leftovers, make_repository, on_branch, write_files

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = [pytest.mark.processes, pytest.mark.measured]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def writes(**files: str) -> Callable[[Path], object]:
    """Work that writes files; `__` stands for a dot."""
    return lambda folder: write_files(folder, {name.replace("__", "."): text for name, text in files.items()})


def nothing(_folder: Path) -> None:
    """No work."""


async def test_every_kind_of_change_comes_back_as_one_commit(bench: Bench) -> None:
    (bench.project / "untracked.txt").write_text("not added\n")
    (bench.project / "lines.txt").write_text(LINES + "not committed\n")

    def work(folder: Path) -> None:
        assert (folder / "untracked.txt").read_text() == "not added\n"
        assert (folder / "lines.txt").read_text().endswith("not committed\n")
        (folder / "a.txt").rename(folder / "b.txt")
        (folder / "b.txt").chmod(0o755)
        (folder / "link").symlink_to("b.txt")
        write_files(folder, {"deep/in/it.bin": bytes(range(256)), "lines.txt": "of the agent\n"})
        write_files(folder, {f"many/{number}.txt": f"{number}" for number in range(120)})

    outcome = await bench.attempt(work, outcome=Outcome(usage=Usage(cost_usd=0.5)))
    project = bench.project
    assert (outcome.failure, outcome.in_time, outcome.usage) == (None, True, Usage(cost_usd=0.5))
    assert not (project / "a.txt").exists()
    assert os.access(project / "b.txt", os.X_OK)
    assert (project / "link").readlink() == Path("b.txt")
    assert (project / "deep/in/it.bin").read_bytes() == bytes(range(256))
    assert (project / "lines.txt").read_text() == "of the agent\n"
    assert len(list(project.glob("many/*"))) == 120
    assert (branches(project), git(project, "stash", "list")) == ([], "")
    assert list((bench.folder / "clones").glob("*/.claude/worktrees/r-1*")) == []


async def test_an_outcome_is_kept_until_the_journal_has_it(bench: Bench) -> None:
    await bench.attempt(writes(a__txt="b\n"), outcome=Outcome(outputs={"n": 1}))
    outbox = FileOutbox(bench.project)
    attempt = bench.order().attempt
    assert (await outbox.found([attempt]))[attempt].outputs == {"n": 1}
    outbox.recorded(attempt)
    assert leftovers(bench.project) == []


async def test_attempts_that_begin_with_the_same_files_send_them_once_and_later_ones_what_differs(bench: Bench) -> None:
    big = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(5_000))
    write_files(bench.project, {"big.txt": big})
    git(bench.project, "add", "--all")
    git(bench.project, "commit", "--quiet", "--message=Big")
    first, second = await bench.send(bench.order(1)), await bench.send(bench.order(2))
    bench.files = ProjectFiles(lambda *_: None)  # of another run, in another process
    assert first.files == second.files == (await bench.send(bench.order(3))).files
    (root,) = bench.shared().values()
    assert root > 100_000
    await bench.settle(first, await bench.work(first, writes(a__txt="b\n")))
    third = await bench.send(bench.order(3))
    await bench.settle(third, await bench.work(third, writes(a__txt="c\n")))
    assert third.files.root == first.files.root
    others = sorted(bench.shared().values())[:-1]
    assert len(others) == 3  # two answers and one base
    assert max(others) < 1_000


async def test_a_worker_fetches_only_what_it_does_not_have(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    fetch = Link.shared

    async def noted(link: Link, key: str, *, largest: int) -> bytes:
        fetched.append(key)
        return await fetch(link, key, largest=largest)

    first = await bench.send(bench.order(1))
    answer = await bench.work(first, writes(a__txt="b\n"))
    await bench.settle(first, answer)
    second = await bench.send(bench.order(2))
    monkeypatch.setattr(Link, "shared", noted)
    await bench.work(second, nothing)
    bench.clones = Clones(bench.folder / "clones", bench.folder)  # the worker was started again
    await bench.work(second, nothing)
    assert fetched == [wire.bundle_key(second.files.base)]


async def test_nothing_in_the_store_can_be_read_without_the_key(bench: Bench) -> None:
    write_files(bench.project, {"secret.txt": "the marker of the project\n" * 20})
    sent = await bench.send(bench.order())
    await bench.work(sent, writes(answer__txt="the marker of the agent\n" * 20))
    stored = [path.read_bytes() for path in (bench.store / "git").iterdir()]
    assert len(stored) == 3
    assert not any(b"PACK" in one or b"bundle" in one for one in stored)


async def test_what_is_sent_are_bundles_that_git_reads(bench: Bench, tmp_path: Path) -> None:
    sent = await bench.send(bench.order())
    file = tmp_path / "root.bundle"
    file.write_bytes(await bench.link.shared(wire.bundle_key(sent.files.root), largest=10**6))
    git(tmp_path, "clone", "--quiet", "--branch=files", str(file), "copy")
    assert (tmp_path / "copy" / "lines.txt").read_text() == LINES


async def test_a_repository_of_another_format_and_one_without_a_commit_are_sent_too(tmp_path: Path) -> None:
    for name in ("sha256", "no commit"):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name)
        shutil.rmtree(bench.project / ".git")
        git(bench.project, "init", "--quiet", *(["--object-format=sha256"] if name == "sha256" else []))
        assert (await bench.attempt(writes(a__txt="b\n"))).failure is None
        assert (bench.project / "a.txt").read_text() == "b\n"


async def test_a_shallow_clone_is_sent_whole(bench: Bench) -> None:
    for number in range(3):
        git(bench.project, "commit", "--quiet", "--allow-empty", f"--message={number}")
    git(bench.folder, "clone", "--quiet", "--depth=1", f"file://{bench.project}", "shallow")
    bench.project = bench.folder / "shallow"
    assert git(bench.project, "rev-parse", "--is-shallow-repository") == "true"
    assert (await bench.attempt(writes(a__txt="b\n"))).failure is None
    assert (bench.project / "a.txt").read_text() == "b\n"
    (clone,) = (bench.folder / "clones").iterdir()
    root = (await bench.send(bench.order(2))).files.root
    assert len(git(clone, "log", "--format=%H", root).splitlines()) == 1


async def test_a_project_in_a_larger_repository_works_in_its_folder(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"part/own.txt": "own\n"})
    bench.project /= "part"

    def work(folder: Path) -> None:
        assert (folder.name, (folder.parent / "a.txt").read_text()) == ("part", "a\n")
        write_files(folder, {"own.txt": "changed\n"})

    assert (await bench.attempt(work)).failure is None
    assert (bench.project / "own.txt").read_text() == "changed\n"
    outside = await bench.attempt(lambda folder: write_files(folder.parent, {"a.txt": "b\n"}), 2)
    assert outside.failure is not None
    assert (outside.failure.code, (tmp_path / "project/a.txt").read_text()) == ("MERGE_REFUSED", "a\n")


async def test_two_agents_on_one_line_conflict_and_the_work_of_the_second_is_on_a_branch(bench: Bench) -> None:
    first, second = await bench.send(bench.order(1)), await bench.send(bench.order(2))
    works = [await bench.work(one, writes(a__txt=f"{word}\n")) for one, word in ((first, "one"), (second, "two"))]
    await bench.settle(first, works[0])
    outcome = await bench.settle(second, works[1])
    assert outcome.failure is not None
    assert outcome.failure.code == "MERGE_CONFLICT"
    assert "git cherry-pick orchestration/r-1/check/2" in (outcome.failure.hint or "")
    assert (bench.project / "a.txt").read_text() == "one\n"
    assert on_branch(bench.project, "r-1/check/2", "a.txt") == "two"
    assert git(bench.project, "rev-parse", "orchestration/r-1/check/2~2") == git(bench.project, "rev-parse", "HEAD")


async def test_a_failed_agents_changes_are_on_a_branch_and_one_that_changed_nothing_leaves_none(bench: Bench) -> None:
    broken = failed(FailureKind.ERROR, "BROKEN", "it broke")
    outcome = await bench.attempt(writes(a__txt="half\n"), outcome=broken)
    assert outcome.failure is not None
    assert (outcome.failure.code, on_branch(bench.project, "r-1/check/1", "a.txt")) == ("BROKEN", "half")
    assert (await bench.attempt(nothing, 2, broken)).failure == broken.failure
    assert (branches(bench.project), leftovers(bench.project)) == (["r-1/check/1"], [])


async def test_repositories_that_an_agent_makes_are_refused_and_the_rest_is_on_a_branch(bench: Bench) -> None:
    def work(folder: Path) -> None:
        make_repository(folder / "nested", {"x": "x"})
        write_files(folder, {"a.txt": "b\n"})

    outcome = await bench.attempt(work, outcome=Outcome(usage=Usage(cost_usd=0.5)))
    assert outcome.failure is not None
    assert (outcome.failure.code, "nested" in outcome.failure.message) == ("MERGE_REFUSED", True)
    assert outcome.usage == Usage(cost_usd=0.5)
    assert on_branch(bench.project, "r-1/check/1", "a.txt") == "b"
    gone = await bench.attempt(shutil.rmtree, 2)
    assert gone.failure is not None
    assert "its worktree is gone" in gone.failure.message


async def test_submodules_and_filters_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other", {"x": "x"})
    (tmp_path / "one").mkdir()
    bench = Bench(tmp_path / "one")
    git(bench.project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "module")
    await refused(bench, "submodules are not sent to a fleet: module")
    (tmp_path / "two").mkdir()
    bench = Bench(tmp_path / "two", {".gitattributes": "*.psd filter=lfs diff=lfs merge=lfs -text\n"})
    await bench.files.check(bench.link, bench.project)  # no such file yet
    write_files(bench.project, {"picture.psd": "a pointer"})
    git(bench.project, "add", "--all")
    await refused(bench, "files of Git LFS are not sent to a fleet: picture.psd")


async def refused(bench: Bench, why: str) -> None:
    for refuse in (bench.files.check(bench.link, bench.project), bench.send(bench.order())):
        with pytest.raises(IsolationUnavailable, match=why) as refusal:
            await refuse
        assert "remove its kind from `agents`" in (refusal.value.hint or "")
    assert bench.shared() == {}


async def test_without_a_store_nothing_begins(bench: Bench) -> None:
    bench.link = Link(None, bench.link._sealer, None)  # type: ignore[arg-type]
    for refuse in (bench.files.check(bench.link, bench.project), bench.send(bench.order())):
        with pytest.raises(IsolationUnavailable, match="need a store") as refusal:
            await refuse
        assert "Set `blobs` in \\[fleet\\]".replace("\\", "") in (refusal.value.hint or "")


async def test_an_agent_that_may_not_run_any_more_is_not_sent(bench: Bench) -> None:
    def permit(*_: object) -> None:
        raise IsolationUnavailable("not any more", code="NOT_TRUSTED")

    bench.files = ProjectFiles(permit)
    with pytest.raises(IsolationUnavailable, match="not any more"):
        await bench.send(bench.order())
    assert bench.shared() == {}


async def test_the_base_of_an_attempt_is_found_again_from_its_order_also_in_another_clone(bench: Bench) -> None:
    (bench.project / "a.txt").write_text("not committed\n")
    sent = await bench.send(bench.order())
    answer = await bench.work(sent, lambda folder: write_files(folder, {"lines.txt": "of the agent\n"}))
    git(bench.folder, "clone", "--quiet", str(bench.project), "elsewhere")
    write_files(bench.project, {"new.txt": "made meanwhile\n"})
    for project in (bench.project, bench.folder / "elsewhere"):
        bench.project = project
        found = await ProjectFiles(lambda *_: None).found(bench.link, bench.order(), sent.files)
        assert (await bench.settle(found, answer)).failure is None
        assert (project / "lines.txt").read_text() == "of the agent\n"
    assert (bench.folder / "project" / "new.txt").read_text() == "made meanwhile\n"
    assert (bench.folder / "elsewhere" / "a.txt").read_text() == "a\n"  # nobody's change: it was the base's


async def test_an_answer_that_is_merged_again_changes_nothing(bench: Bench) -> None:
    sent = await bench.send(bench.order())
    answer = await bench.work(sent, writes(a__txt="b\n"))
    await bench.settle(sent, answer)
    FileOutbox(bench.project).recorded(sent.order.attempt)
    write_files(bench.project, {"lines.txt": "by hand\n"})
    assert (await bench.settle(sent, answer)).failure is None
    assert [(bench.project / name).read_text() for name in ("a.txt", "lines.txt")] == ["b\n", "by hand\n"]


# A worker that lies


async def lie(bench: Bench, *trees: bytes, more: int = 0) -> Answer:
    """An answer with the last of the *trees*, in which `%(mark)b` is the id of a blob, `%(last)b` of the one before.

    With *more* objects the bundle stays a pack where it is taken.
    """
    liar = make_repository(bench.folder / "liar")
    write_files(liar, {f"{number}": f"{number}" for number in range(more)})
    listed = "".join(f"{number}\n" for number in range(more)).encode()
    made = [bytes.fromhex(one) for one in fed(liar, listed, "hash-object", "-w", "--stdin-paths").decode().split()]
    made.append(raw(liar, "blob", MARK))
    mark = made[-1]
    for tree in trees:
        made.append(raw(liar, "tree", tree % {b"mark": mark, b"last": made[-1]}))
    made.append(raw(liar, "commit", COMMIT % made[-1].hex().encode()))
    pack = fed(liar, "".join(f"{one.hex()}\n" for one in made).encode(), "pack-objects", "--stdout", "-q")
    commit = made[-1].hex()
    await bench.link.share(wire.bundle_key(commit), wrapped(pack, commit))
    return Answer(Outcome(), commit)


MARK = b"a marker\n"
COMMIT = b"tree %b\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nA lie\n"


def raw(folder: Path, kind: str, content: bytes) -> bytes:
    """The id, in bytes, of an object that git itself would not make."""
    return bytes.fromhex(fed(folder, content, "hash-object", "-t", kind, "-w", "--literally", "--stdin").decode())


def fed(folder: Path, stdin: bytes, *words: str) -> bytes:
    """What git answers to *stdin*."""
    return subprocess.run(["git", *words], cwd=folder, input=stdin, capture_output=True, check=True).stdout


LIES = {
    "a folder of git's": (b"100644 x\0%(mark)b", b"40000 .git\0%(last)b"),
    "a name of git's for some systems": (b"100644 x\0%(mark)b", b"40000 GIT~1\0%(last)b"),
    "the folder above": (b"100644 x\0%(mark)b", b"40000 ..\0%(last)b"),
    "a name with a slash": (b"100644 sub/x\0%(mark)b",),
    "a name from the root": (b"100644 /x\0%(mark)b",),
    "a name twice": (b"100644 x\0%(mark)b100755 x\0%(mark)b",),
    "an empty name": (b"100644 \0%(mark)b",),
    "the engine's own folder": (b"100644 x\0%(mark)b", b"40000 orchestration\0%(last)b", b"40000 .claude\0%(last)b"),
    "a repository": (b"160000 module\0%(mark)b",),
    "another system's mode": (b"20000 device\0%(mark)b",),
    "a file that is not there": (b"100644 x\0" + b"\1" * 20,),
    "a folder that is not there": (b"40000 x\0" + b"\1" * 20,),
}


async def test_trees_that_no_agent_of_ours_makes_are_refused(bench: Bench) -> None:
    sent = await bench.send(bench.order())
    packed = {"a folder of git's", "a name twice", "a file that is not there"}
    for name, more in (*((name, 0) for name in LIES), *((name, 100) for name in packed)):
        trees = LIES[name]
        outcome = await bench.settle(sent, await lie(bench, *trees, more=more))
        assert outcome.failure is not None, name
        assert outcome.failure.code == "MERGE_REFUSED", name
        found = [path for path in bench.folder.rglob("*") if path.is_file() and path.read_bytes() == MARK]
        assert (found, (bench.project / "a.txt").read_text()) == ([], "a\n"), name
        assert git(bench.project, "status", "--porcelain") == "?? .claude/", name
    honest = await lie(bench, b"100644 a.txt\0%(mark)b")
    assert (await bench.settle(sent, honest)).failure is None
    assert (bench.project / "a.txt").read_bytes() == MARK


async def test_a_bundle_of_something_else_and_one_that_is_cut_off_are_refused(bench: Bench) -> None:
    sent = await bench.send(bench.order())
    answer = await bench.work(sent, writes(a__txt="b\n"))
    assert answer.changes is not None
    key = wire.bundle_key(answer.changes)
    bundle = await bench.link.shared(key, largest=10**6)
    other = await bench.link.shared(wire.bundle_key(sent.files.root), largest=10**6)
    for wrong in (b"", b"x", bundle[:-30], bundle.replace(b"v2", b"v9"), other):
        await bench.link.share(key, wrong)
        outcome = await bench.settle(sent, answer)
        assert outcome.failure is not None
        assert outcome.failure.code == "MERGE_REFUSED"
        assert "what the worker w1 sent back cannot be used" in outcome.failure.message
    (bench.store / key).unlink()
    assert "has no git/" in str((await bench.settle(sent, answer)).failure)
    assert ((bench.project / "a.txt").read_text(), branches(bench.project)) == ("a\n", [])
    await bench.link.share(key, bundle)
    assert (await bench.settle(sent, answer)).failure is None


def test_ids_in_messages_are_nothing_but_ids() -> None:
    for text in ("--upload-pack=x", "HEAD", "a" * 40 + "\n", "A" * 40, "a" * 41):
        with pytest.raises(ValueError, match="matching regex"):
            wire.decode_answer(f'{{"worker": "w", "changes": {json.dumps(text)}}}'.encode())


async def test_a_pack_is_taken_only_from_a_bundle_of_its_commit(bench: Bench) -> None:
    sent = await bench.send(bench.order())
    bundle = await bundle_of(sent.git, sent.files.root)
    assert unwrapped(bundle, sent.files.root).startswith(b"PACK")
    with pytest.raises(ValueError, match="not a git bundle of the commit"):
        unwrapped(bundle, "0" * 40)


# The worker's repositories


@pytest.mark.parametrize("bounds", [Bounds(files=3), Bounds(kibibytes=3), Bounds(packs=0)])
async def test_a_repository_that_has_grown_too_large_is_replaced_after_its_last_attempt(
    tmp_path: Path, bounds: Bounds
) -> None:
    files = {} if bounds.packs else {f"{number}.txt": f"{number}" for number in range(120)}
    bench = Bench(tmp_path, files, bounds=bounds)
    sent = await bench.send(bench.order())
    async with bench.worktree(sent), bench.worktree(await bench.send(bench.order(2))):
        assert len(list((tmp_path / "clones").iterdir())) == 2
    assert list((tmp_path / "clones").iterdir()) == []


async def test_a_repository_that_an_agent_has_damaged_is_replaced(bench: Bench) -> None:
    sent = await bench.send(bench.order())
    await bench.work(sent, lambda folder: shutil.rmtree(next(iter(folder.parents[2].glob(".git/objects")))))
    (damaged,) = (bench.folder / "clones").iterdir()
    assert (await bench.attempt(writes(a__txt="b\n"), 2)).failure is None
    assert [path.name == damaged.name for path in (bench.folder / "clones").iterdir()] == [False]


async def test_what_a_dead_worker_left_is_removed_but_its_repository_stays(bench: Bench) -> None:
    sent = await bench.send(bench.order())
    context = bench.worktree(sent)
    away = await context.__aenter__()  # and never left
    bench.clones = Clones(bench.folder / "clones", bench.folder)
    assert not away.tree.folder.exists()
    (bench.store / wire.bundle_key(sent.files.root)).unlink()  # it has that
    assert (await bench.work(sent, writes(a__txt="b\n"))).changes is not None


async def test_ignored_files_that_the_workers_own_copy_names_are_there_and_do_not_come_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {".gitignore": ".env\n"})
    own = make_repository(tmp_path / "own", {".gitignore": ".env\n", ".worktreeinclude": ".env\n"})
    write_files(own, {".env": "of the worker\n"})
    write_files(bench.project, {".env": "of the coordinator\n"})
    bench.clones = Clones(tmp_path / "clones", own)

    def work(folder: Path) -> None:
        assert (folder / ".env").read_text() == "of the worker\n"
        write_files(folder, {"a.txt": "b\n", ".env": "changed\n", ".gitignore": ""})

    assert (await bench.attempt(work)).failure is None
    assert [(bench.project / name).read_text() for name in ("a.txt", ".env")] == ["b\n", "of the coordinator\n"]


@pytest.mark.parametrize("prefix", ["../", "/else/", "a", "a/../", ".git/"])
async def test_a_prefix_that_leads_elsewhere_is_refused(bench: Bench, prefix: str) -> None:
    sent = await bench.send(bench.order())
    files = wire.Files(root=sent.files.root, base=sent.files.base, base_tree=sent.files.base_tree, prefix=prefix)
    order = wire.order_of(sent.order, project="p", package="1", trust=None, files=files)
    with pytest.raises(IsolationUnavailable, match="is not a folder below"):
        async with bench.clones.worktree(bench.link, order, bench.beats):
            pass


async def test_attempts_at_once_share_one_repository(bench: Bench) -> None:
    sent = [await bench.send(bench.order(number)) for number in range(1, 6)]
    answers = await asyncio.gather(
        *(bench.work(one, writes(**{f"new{number}__txt": "x"})) for number, one in enumerate(sent))
    )
    outcomes = await asyncio.gather(*(bench.settle(*pair) for pair in zip(sent, answers, strict=True)))
    assert [outcome.failure for outcome in outcomes] == [None] * 5
    assert sorted(path.name for path in bench.project.glob("new*")) == [f"new{number}.txt" for number in range(5)]
    assert len(list((bench.folder / "clones").iterdir())) == 1
