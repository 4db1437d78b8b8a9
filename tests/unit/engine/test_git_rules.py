"""What of a repository's configuration names programs, and how git is kept from starting them."""

from __future__ import annotations

import pytest

from engine.git_rules import Driver, default_merge_in, drivers_in, hooks_off, withheld, without_guidance


def listing(*entries: tuple[str, str, str | None]) -> bytes:
    """What git answers: scope, key and value of each setting."""
    fields = [(scope, key if value is None else f"{key}\n{value}") for scope, key, value in entries]
    return b"".join(f"{scope}\0{entry}\0".encode() for scope, entry in fields)


LFS = (("clean", "git-lfs clean -- %f"), ("process", "git-lfs filter-process"), ("required", "true"))


@pytest.mark.parametrize("scope", ["local", "worktree", "submodule", "unknown"])
def test_a_filter_that_the_repository_names_is_found_by_its_programs(scope: str) -> None:
    found = drivers_in(
        listing(
            ("system", "filter.system.clean", "cat"),
            ("global", "user.name", "A"),
            *((scope, f"filter.Large.Files.{key}", value) for key, value in LFS),
            (scope, "core.bare", "false"),
            (scope, "merge.default", "text"),
            (scope, "filter.without.required", "true"),
            (scope, "filter.empty.clean", ""),
            (scope, "filter.bool.clean", None),
            ("command", "filter.ours.clean", "cat"),
            (scope, "merge.odd.driver", "odd %A"),
        )
    )
    assert found == [Driver("filter", "Large.Files", LFS), Driver("merge", "odd", (("driver", "odd %A"),))]
    assert [driver.title for driver in found] == ["filter.Large.Files", "merge.odd"]
    assert [driver.programs for driver in found] == [("git-lfs clean -- %f", "git-lfs filter-process"), ("odd %A",)]


def test_a_name_that_is_no_text_is_a_name() -> None:
    [driver] = drivers_in(b"local\0filter.\xff.clean\ncat\0")
    assert driver.name.encode("utf-8", "surrogateescape") == b"\xff"


@pytest.mark.parametrize(
    ("own", "users", "missed", "settings"),
    [
        ({"clean": "spy"}, {}, True, {"clean": "", "required": "true"}),
        ({"clean": "spy"}, {"clean": "cat"}, False, {"clean": "cat", "required": "false"}),
        ({"clean": "spy"}, {"smudge": "cat"}, False, {"clean": "", "required": "false"}),
        (
            {"process": "spy", "required": "false"},
            {"process": "lfs", "required": "true"},
            False,
            {"process": "lfs", "required": "true"},
        ),
        ({"process": "spy"}, {"clean": "cat"}, True, {"process": "", "required": "true"}),
        ({"smudge": "spy"}, {"clean": ""}, True, {"smudge": "", "required": "true"}),
    ],
)
def test_a_filter_that_is_withheld_is_the_users_or_none_and_an_error(
    own: dict[str, str], users: dict[str, str], missed: object, settings: dict[str, str]
) -> None:
    driver = Driver("filter", "f", tuple(own.items()), tuple(users.items()))
    assert driver.is_missed == missed
    assert withheld([driver]) == {f"filter.f.{key}": value for key, value in settings.items()}


def test_a_merge_driver_that_is_withheld_is_the_users_or_a_conflict() -> None:
    spy = (("name", "A spy"), ("driver", "spy"))
    assert withheld([Driver("merge", "m", spy)]) == {"merge.m.driver": "false"}
    assert withheld([Driver("merge", "m", spy, (("driver", "mine"),))]) == {"merge.m.driver": "mine"}
    assert withheld([]) == {}


def test_the_newest_word_of_a_file_counts() -> None:
    said = [("global", "filter.f.clean", "a"), ("global", "filter.f.clean", "b"), ("local", "filter.f.clean", "c")]
    found = drivers_in(listing(*said))
    assert withheld(found)["filter.f.clean"] == "b"


def test_hooks_of_any_configuration_are_off() -> None:
    said = listing(("global", "hook.mine.command", "x"), ("local", "hook.its.event", "update"), ("local", "a.b", "c"))
    assert hooks_off(said) == {"hook.mine.enabled": "false", "hook.its.enabled": "false"}
    assert hooks_off(listing(("local", "hook.command", "x"))) == {}


def test_the_merge_driver_for_all_files_is_the_repositorys_last_word() -> None:
    assert default_merge_in(listing(("global", "merge.default", "mine"), ("command", "merge.default", "ours"))) is None
    assert default_merge_in(listing(("local", "merge.default", "a"), ("worktree", "merge.default", "b"))) == "b"
    assert default_merge_in(b"") is None


def test_settings_are_handed_over_whatever_is_in_their_names_and_a_hooks_variables_are_not() -> None:
    inherited = {"GIT_DIR": "/there", "GIT_CONFIG_PARAMETERS": "'a.b=c'", "GIT_CONFIG_GLOBAL": "/mine", "HOME": "/h"}
    given = without_guidance(inherited, {"filter.a=b.clean": "c=d\ne"})
    assert {name: value for name, value in given.items() if name in inherited or name.startswith("GIT_CONFIG")} == {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_GLOBAL": "/mine",
        "GIT_CONFIG_KEY_0": "filter.a=b.clean",
        "GIT_CONFIG_VALUE_0": "c=d\ne",
        "HOME": "/h",
    }
    assert given["GIT_ALLOW_PROTOCOL"] == "none"
