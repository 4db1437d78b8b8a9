"""Worlds of state folders: projects are made, moved, copied and cloned, others plant folders and links, and laws hold.

Each world is played from a seed on a real disk. Every journal says who wrote it, so that a law can ask what a folder
that the guard gives holds.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

import pytest

from engine.errors import EnvironmentFault
from engine.statefolder.guard import Standing, found_state, look_at, open_state, take_over
from engine.statefolder.links import NOT_OURS, STATE, state_of
from engine.statefolder.stamps import STAMP, new_stamp, write_stamp
from tests.support.state import contents

SEEDS = 40
HAPPENINGS = 25
JOURNAL = "journal.sqlite3"


class Folders:
    """One user, some projects, and somebody who puts things into them."""

    def __init__(self, seed: int, place: Path) -> None:
        self.dice = Random(seed)  # noqa: S311 - repeatable by intent
        self.place = place / "projects"
        self.place.mkdir()
        self.own = Path(os.environ["XDG_STATE_HOME"])
        self.outside = place / "outside"
        self.outside.mkdir()
        (self.outside / JOURNAL).write_text("nobody's", encoding="utf-8")
        self.number = 0
        self.written: set[str] = set()
        """What this user wrote into journals, or took over on purpose."""
        self.used = 0
        self.refused = 0

    def play(self) -> None:
        """Everything that happens, and the laws after each of it."""
        outside = contents(self.outside)
        for _ in range(HAPPENINGS):
            happening = self.dice.choice(
                (self.clone, self.use, self.use, self.use, self.move, self.copy, self.plant, self.link, self.accept)
            )
            happening()
            assert contents(self.outside) == outside, "nothing outside of the projects is touched"
            places = (path for place in (self.place, self.own) for path in place.rglob(JOURNAL))
            journals = (path for path in places if path.is_file() and not path.is_symlink())
            lost = self.written - {path.read_text(encoding="utf-8") for path in journals}
            assert not lost, "nothing that the user wrote is lost"

    def some(self) -> Path | None:
        """One of the projects."""
        projects = sorted(self.place.iterdir())
        return self.dice.choice(projects) if projects else None

    def new(self) -> Path:
        self.number += 1
        return self.place / f"project-{self.number}"

    def clone(self) -> None:
        """A project comes from elsewhere, with a state folder or without."""
        root = self.new()
        root.mkdir()
        if self.dice.random() < 0.5:
            self._bring(root)

    def _bring(self, root: Path) -> None:
        folder = root / STATE
        folder.mkdir(parents=True, exist_ok=True)
        (folder / JOURNAL).write_text(f"of others, {self.number}", encoding="utf-8")
        if self.dice.random() < 0.5:
            write_stamp(folder, new_stamp())

    def use(self) -> None:
        """The user runs something: what the guard gives is this user's, or it says no and changes nothing."""
        root = self.some()
        if root is None:
            return
        before = contents(root)
        try:
            seen = found_state(root)
            assert contents(root) == before, "a reader changes nothing"
            folder = open_state(root)
        except EnvironmentFault as fault:
            if fault.code != NOT_OURS:
                raise
            assert contents(root) == before, "what is refused is left alone"
            self.refused += 1
            return
        assert seen in {None, folder}
        assert folder == state_of(root).folder
        journal = folder / JOURNAL
        if journal.exists():
            assert seen == folder
            assert journal.read_text(encoding="utf-8") in self.written, "only what the user wrote is believed"
        else:
            self.number += 1
            journal.write_text(f"of the user, {self.number}", encoding="utf-8")
            self.written.add(f"of the user, {self.number}")
        self.used += 1

    def move(self) -> None:
        """A project gets another place; it keeps what it had."""
        root = self.some()
        if root is not None:
            root.rename(self.new())

    def copy(self) -> None:
        root = self.some()
        if root is not None:
            shutil.copytree(root, self.new(), symlinks=True)

    def plant(self) -> None:
        """Somebody puts a folder into a project that has none."""
        root = self.some()
        if root is not None and not (root / ".claude").is_symlink() and not (root / STATE).exists():
            self._bring(root)

    def link(self) -> None:
        """Somebody puts a link that leads out into a project that was cloned."""
        root = self.some()
        if root is None or (root / STATE / STAMP).exists() or (root / ".claude").is_symlink():
            return
        place = root / self.dice.choice(
            [STATE.parent, STATE, STATE / JOURNAL, STATE / "worktrees", STATE / "owners" / "o.lock"]
        )
        if not place.exists() and not place.is_symlink() and not (root / STATE).is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(self.outside)

    def accept(self) -> None:
        """The user has looked at what is in a folder, and takes it over."""
        root = self.some()
        if root is None:
            return
        try:
            found = look_at(root)
        except EnvironmentFault:
            return
        if found.standing in {Standing.FOREIGN, Standing.COPY} and (root / STATE / JOURNAL).exists():
            take_over(found)
            self.written.add((root / STATE / JOURNAL).read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_comes_into_a_project_only_what_the_user_wrote_is_believed_and_nothing_is_lost(
    seed: int, tmp_path: Path
) -> None:
    Folders(seed, tmp_path).play()


def test_these_worlds_hold_what_they_are_for(tmp_path: Path) -> None:
    used = refused = 0
    for seed in range(10):
        (tmp_path / str(seed)).mkdir()
        world = Folders(seed, tmp_path / str(seed))
        world.play()
        used, refused = used + world.used, refused + world.refused
    assert used > 10
    assert refused > 10
