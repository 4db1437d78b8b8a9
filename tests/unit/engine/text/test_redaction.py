from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.redaction import MASK, Mask, excerpt, names_a_secret, one_line, redact, redact_data, redact_shown
from engine.text.shown import clean, printable


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-" + "api03-abcdefghijklmnop_qrstuv",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "a1" * 18,
        "github_pat_" + "a1" * 20,
        "xoxb-" + "123456789012-abcdefghijkl",
        "AIza" + "SyA1234567890abcdefghijk",
        "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    ],
)
def test_a_key_of_a_known_issuer_is_masked_and_the_text_around_it_stays(secret: str) -> None:
    text = redact(f"before {secret} after")
    assert secret not in text
    assert MASK in text
    assert text.startswith("before ")
    assert text.endswith(" after")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abcdefghijklmnop", f"Authorization: Bearer {MASK}"),
        ("postgres://me:hunter22@db/x", f"postgres://me:{MASK}@db/x"),
        ("password=hunter22 next", f"password={MASK} next"),
        ('{"api_key": "abcd1234"}', f'{{"api_key": "{MASK}"}}'),
        ("AWS_SECRET_ACCESS_KEY=abcd/1234", f"AWS_SECRET_ACCESS_KEY={MASK}"),
        ("GITHUB_TOKEN=abcd1234", f"GITHUB_TOKEN={MASK}"),
        ("https://x.example/a?token=a1b2c3d4e5f6a7b8&x=1", f"https://x.example/a?token={MASK}&x=1"),
        ('{"Token": "a1b2c3d4e5f6a7b8"}', f'{{"Token": "{MASK}"}}'),
        ("the token: a1b2c3d4-e5f6-a7b8 is mine", f"the token: {MASK} is mine"),
    ],
)
def test_a_value_that_is_named_as_a_secret_is_masked(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_a_private_key_is_masked_even_if_its_end_is_missing() -> None:
    begin = "-----BEGIN RSA " + "PRIVATE KEY-----"
    assert redact(f"a {begin}\nMIIB\nAAAA") == f"a {begin} {MASK}"


@pytest.mark.parametrize(
    "text",
    [
        *("3 tokens used: 12", "https://example.com:8080/a@b", "the basic idea", "sk-short", "a password is needed"),
        *("token = settings.of_this_user.token", "token: 12345678901234567890", "max-token=a1b2c3d4e5f6a7b8"),
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_an_excerpt_is_the_end_of_the_text() -> None:
    assert excerpt("abcdef", limit=3) == "…def"
    assert excerpt("abc", limit=3) == "abc"
    assert excerpt(" \n") is None


def test_an_excerpt_shows_no_half_of_a_secret_that_the_cut_falls_into() -> None:
    secret = "ghp_" + "z" * 40
    kept = excerpt("x" * 9000 + " " + secret, limit=20)
    assert kept is not None
    assert "zzz" not in kept


def test_a_line_for_the_display_is_the_first_one_and_fits() -> None:
    assert one_line("  first\nsecond") == "first"
    line = one_line("word " * 100, limit=30)
    assert len(line) == 30
    assert line.endswith("…")


def test_control_characters_are_taken_out() -> None:
    assert clean(" a\x1b[31m\nb\u202e ") == "a [31m b"
    assert printable("a\x1b[31m\n\tb\u202e\x07") == "a[31m\n\tb"
    assert one_line("a\x1b[2Jb\nc") == "a [2Jb"


@given(st.text())
def test_nothing_of_a_printable_text_steers_a_terminal(text: str) -> None:
    kept = printable(text)
    assert not {letter for letter in kept if unicodedata.category(letter) in {"Cc", "Zl", "Zp", "Cs"}} - {"\n", "\t"}
    assert printable(kept) == kept


KEY = "ghp_" + "a1" * 18


def test_secrets_that_are_sure_are_masked_in_data_at_any_depth_and_in_keys() -> None:
    secret = "aB3" * 8
    data = {"a": [f"the key {KEY}", {f"k {KEY}": 1}], "log": f"AWS_SECRET_ACCESS_KEY={secret}", "n": [1, None, True]}
    masked = redact_data(data)
    assert KEY not in str(masked)
    assert secret not in str(masked)
    assert masked["n"] == [1, None, True]
    assert masked["a"][0] == f"the key ghp_{MASK}"


@pytest.mark.parametrize(
    "text",
    [
        "def login(password: str, api_key: str = settings.api_key_2024) -> None:",
        "npm_config_registry_url and sk-toggle-container-label",
        "password = get_password_of_user1(name)",
        "postgres://{user}:{password}@{host}",
        "Authorization: Bearer abcdefghijklmnop",
    ],
)
def test_code_in_data_stays_as_it_is(text: str) -> None:
    data = {"code": [text]}
    assert redact_data(data) is data


@pytest.mark.parametrize(
    "name", ["GITHUB_TOKEN", "DB_PASSWORD", "api_key", "AWS_SECRET_ACCESS_KEY", "MY_PAT", "SECRET"]
)
def test_a_variable_is_known_to_be_secret_by_its_ending(name: str) -> None:
    assert names_a_secret(name)


@pytest.mark.parametrize("name", ["HOME", "TOKEN_COUNT", "KEYBOARD", "SPAT", "AWS_REGION"])
def test_a_variable_of_another_ending_is_no_secret(name: str) -> None:
    assert not names_a_secret(name)


def test_a_known_secret_is_masked_wherever_it_stands_the_longer_first() -> None:
    mask = Mask(["hunter2", "hunter2!long"])
    assert mask.hide("xhunter2!longx hunter2") == f"x{MASK}x {MASK}"
    assert mask.hide_in({"hunter2": ["a", ("hunter2", 2)]}) == {MASK: ["a", [MASK, 2]]}
    data = {"a": ["b", 1]}
    assert mask.hide_in(data) is data


def test_without_secrets_nothing_is_looked_at() -> None:
    mask, data = Mask(), {"a": "hunter2"}
    assert not mask
    assert mask.hide_in(data) is data
    assert mask.hide("a…b") == mask.hide_cut("a…b") == "a…b"


@given(
    st.text("ab…", min_size=4, max_size=6), st.text("ab", max_size=30), st.text("ab", max_size=30), st.integers(0, 8)
)
def test_pieces_of_a_text_that_is_masked_as_it_comes_never_show_the_secret(
    secret: str, before: str, after: str, cut: int
) -> None:
    mask, shown, held = Mask([secret]), "", ""
    text = before + secret + after
    for piece in (text[: len(before) + cut], text[len(before) + cut :]):
        held = mask.hide(held + piece)
        end = mask.open_end(held)
        shown, held = shown + held[:end], held[end:]
    assert secret not in shown


@pytest.mark.parametrize("text", ["exit 3: …er2 said", "starts with: say hunt…", "…2", "hunter2"])
def test_what_a_cut_leaves_of_a_secret_is_masked_too(text: str) -> None:
    left = Mask(["hunter2"]).hide_cut(text)
    assert not any(part in left for part in ("er2", "hunt", "…2"))


def test_a_private_key_and_a_token_are_masked_in_data() -> None:
    token = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
    begin = "-----BEGIN " + "PRIVATE KEY-----"
    masked = str(redact_data({"a": f"it is {token}", "b": f"{begin}\n{'MIIB' * 12}"}))
    assert token not in masked
    assert "MIIB" not in masked


def test_a_value_whose_key_names_a_secret_is_masked_where_it_is_shown_as_in_text() -> None:
    value = {
        "config": [{"password": "hunter22", "user": "me", "port": 5}],
        "api_key": "two words",
        "secret": "no",
        "a": "password=hunter22 works",
        "token": "a1b2c3d4e5f6a7b8",
        "tokens": {"token": "the word before the space"},
    }
    shown = redact_shown(value)
    assert shown == {
        "config": [{"password": MASK, "user": "me", "port": 5}],
        "api_key": MASK,
        "secret": "no",
        "a": f"password={MASK} works",
        "token": MASK,
        "tokens": {"token": "the word before the space"},
    }
    assert "hunter22" not in redact(json.dumps(value))
    assert redact_shown(shown) == shown


def test_a_key_that_holds_a_secret_and_texts_at_any_depth_are_masked_where_they_are_shown() -> None:
    secret = "sk-ant-" + "a1" * 20
    shown = redact_shown({secret: [secret, {"text": f"it is {secret}"}], "flag": True, "nothing": None})
    assert secret not in json.dumps(shown)
    assert (shown["flag"], shown["nothing"]) == (True, None)
