"""Small git repositories for the reviewers, made by the real git in a folder of the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from registry.packaged.review_repo import conclusion, history, scans, structure, texts

Work = Callable[[Mapping[str, Any]], dict[str, Any]]
STEPS: tuple[tuple[Work, str], ...] = (
    (structure.review, "always"),
    (scans.code, "files"),
    (scans.automation, "files"),
    (texts.text, "files"),
    (history.review, "commits"),
    (conclusion.review, "always"),
)


class Repo:
    """A git repository that the test is in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.day = 0

    def git(self, *arguments: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        stamp = f"2025-01-{self.day % 28 + 1:02d}T00:00:00+00:00"
        environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
        names = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "protocol.file.allow=always"]
        done = subprocess.run(
            ["git", *names, *arguments], cwd=self.root, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    def write(self, path: str, text: str | bytes = "x = 1\n") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def commit(self, message: str = "change", **files: str) -> None:
        for path, text in files.items():
            self.write(path, text)
        self.day += 1
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def ask(self, agent: Work, **inputs: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """The outputs of *agent*; the structure is made when it is not given."""
        if agent is not structure.review and "structure" not in inputs:
            inputs = {**self.ask(structure.review), **inputs}
        answer = agent({"inputs": inputs})
        assert "failure" not in answer, answer
        outputs: dict[str, Any] = answer["outputs"]
        return outputs

    def structure(self) -> dict[str, Any]:
        """What the structure agent says of it."""
        seen: dict[str, Any] = self.ask(structure.review)["structure"]
        return seen

    def failure(self, agent: Work, **inputs: Any) -> dict[str, str]:  # noqa: ANN401 - JSON
        failure: dict[str, str] = agent({"inputs": inputs})["failure"]
        return failure

    def review(self, **inputs: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """What all agents give together, each skipped as the command skips it."""
        context: dict[str, Any] = dict(inputs)
        for agent, needs in STEPS:
            if needs == "always" or context["structure"][needs]:
                context.update(self.ask(agent, **context))
        return context


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """An empty repository, which is also the working directory; the machine's own git settings are out of reach."""
    root = tmp_path / "repo"
    root.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(root)
    made = Repo(root)
    made.git("init", "-q", "-b", "main")
    return made


def places(output: Mapping[str, Any]) -> set[tuple[str, str, int]]:
    """Rule, file and line of the findings in *output*."""
    return {(finding["rule"], finding["file"], finding["line"]) for finding in output["findings"]}
