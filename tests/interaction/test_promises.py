from __future__ import annotations

import ast
from pathlib import Path

from tests.interaction.promises import PROMISES

HERE = Path(__file__).parent


def kept() -> dict[str, set[str]]:
    """Promises by test, read from the decorators of all tests here."""
    found: dict[str, set[str]] = {}
    for path in HERE.glob("test_*.py"):
        if path == Path(__file__):
            continue
        for item in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name.startswith("test_"):
                calls = [call for call in item.decorator_list if isinstance(call, ast.Call)]
                named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "keeps"]
                found[f"{path.name}:{item.name}"] = {ast.literal_eval(name) for call in named for name in call.args}
    return found


def test_each_promise_is_kept_by_a_test() -> None:
    assert set(PROMISES) - set().union(*kept().values()) == set()


def test_each_test_keeps_a_promise() -> None:
    assert [test for test, names in kept().items() if not names & set(PROMISES)] == []
