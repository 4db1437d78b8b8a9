from __future__ import annotations

import json

import pytest

from registry.files.frontmatter import MAX_BYTES, MAX_DEPTH, Frontmatter, FrontmatterError, read_frontmatter

KNOWN = frozenset({"data", "name", "description", "tools", "env", "model"})


def read(text: str) -> Frontmatter:
    return read_frontmatter(text, known=KNOWN, free_text={"description"}, typed={"data"})


def refusal(text: str) -> FrontmatterError:
    with pytest.raises(FrontmatterError) as caught:
        read(text)
    assert caught.value.hint
    return caught.value


def test_yaml_gives_text_lists_and_mappings_without_guessing_types() -> None:
    front = read("---\nname: 007\nmodel: yes\ntools: [Read, Grep]\nenv:\n  A: 1\n  B:\n---\nBody\n")
    assert front.fields == {"name": "007", "model": "yes", "tools": ["Read", "Grep"], "env": {"A": "1", "B": None}}
    assert front.body == "Body"
    assert not front.repaired
    assert front.read_by_claude_code


@pytest.mark.parametrize("other", ["", "description: Use when: x\n"])
def test_a_field_with_data_for_a_program_keeps_numbers_and_truth_values_apart_from_text(other: str) -> None:
    front = read(
        f"---\n{other}env: {{A: 1}}\ndata:\n  a: [1, 0.5, -3, true, false]\n  1: {{b: '2', c: 1.10, d: True}}\n---\n"
    )
    assert front.fields["env"] == {"A": "1"}
    assert json.dumps(front.fields["data"]) == json.dumps(
        {"a": [1, 0.5, -3, True, False], "1": {"b": "2", "c": "1.10", "d": "True"}}
    )


def test_a_quoted_null_is_text_and_a_plain_one_is_nothing() -> None:
    assert read('---\nname: "null"\nmodel: null\ntools: ~\nenv:\n---\n').fields == {
        "name": "null",
        "model": None,
        "tools": None,
        "env": None,
    }


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle() -> None:
    front = read("\ufeff---\r\nname: a\r\ndescription: |\r\n  one\r\n  two\r\n---\r\nBody\r\nmore\r\n")
    assert front.fields == {"name": "a", "description": "one\ntwo\n"}
    assert front.body == "Body\nmore"


def test_a_dashed_line_further_down_belongs_to_the_body() -> None:
    assert read("---  \nname: a\n---\nabove\n\n---\nbelow").body == "above\n\n---\nbelow"


def test_a_one_line_description_with_colons_is_text_as_claude_code_reads_it() -> None:
    front = read('---\nname: a\ndescription: Use when: the user says "x: y"\ntools: Read, Grep\n---\n')
    assert front.fields == {"name": "a", "description": 'Use when: the user says "x: y"', "tools": "Read, Grep"}
    assert front.repaired
    assert front.read_by_claude_code


@pytest.mark.parametrize("written", ["*important* rule", "[x] does: that", "!important rule", "*important"])
def test_yaml_signs_at_the_beginning_of_prose_are_prose(written: str) -> None:
    front = read(f"---\nname: a\ndescription: {written}\n---\n")
    assert front.fields["description"] == written
    assert front.read_by_claude_code


def test_written_line_breaks_in_a_repaired_description_become_line_breaks() -> None:
    text = "---\nname: a\ndescription: Use this: when.\\n\\n<example>\\nuser: hi\\n</example>\n---\n"
    assert read(text).fields["description"] == "Use this: when.\n\n<example>\nuser: hi\n</example>"


def test_unindented_examples_stay_in_the_description_and_take_no_field_with_them() -> None:
    text = (
        "---\n"
        "name: reviewer\n"
        "description: Use after changes. Examples:\n"
        "\n"
        "<example>\n"
        "Context: code was written\n"
        'user: "look: at this"\n'
        'user: "again"\n'
        "</example>\n"
        "model: opus\n"
        "env:\n"
        "  A: b\n"
        "---\n"
        "Body"
    )
    front = read(text)
    assert front.fields["name"] == "reviewer"
    assert front.fields["model"] == "opus"
    assert front.fields["env"] == {"A": "b"}
    description = front.fields["description"]
    assert isinstance(description, str)
    assert description.startswith("Use after changes. Examples:\n\n<example>\nContext: code")
    assert description.endswith("</example>")
    assert not front.read_by_claude_code


def test_a_block_mark_without_an_indented_block_is_no_part_of_the_text() -> None:
    text = "---\nname: a\ndescription: |\nFirst line: here\n<example>\n---\n"
    assert read(text).fields["description"] == "First line: here\n<example>"


def test_outer_quotes_around_text_with_inner_quotes_are_taken_off() -> None:
    assert read('---\nname: a\ndescription: "say "hi" now"\n---\n').fields["description"] == 'say "hi" now'


def test_windows_line_ends_defeat_claude_codes_own_repair() -> None:
    front = read("---\r\nname: a\r\ndescription: Use when: x\r\n---\r\n")
    assert front.fields["description"] == "Use when: x"
    assert not front.read_by_claude_code


def test_an_empty_description_beside_a_broken_field_is_nothing() -> None:
    front = read('---\nname: a: b\ndescription: ""\n---\n')
    assert front.fields == {"name": "a: b", "description": ""}
    assert read("---\nname: a: b\ndescription: |\n---\n").fields["description"] == ""
    assert read("---\ndescription: > x: y\n---\n").fields["description"] == "> x: y"


def test_an_unknown_field_begins_a_field_outside_free_text_only() -> None:
    front = read("---\nname: a\ncategory: x: y\ndescription: Use: it\nuser: hi: you\n---\n")
    assert front.fields == {"name": "a", "category": "x: y", "description": "Use: it\nuser: hi: you"}
    front = read("---\nname: a: b\ndescription: Use it\nuser: hi\n---\n")
    assert front.fields == {"name": "a: b", "description": "Use it\nuser: hi"}


def test_speakers_who_talk_twice_are_part_of_the_description_and_no_doubled_fields() -> None:
    front = read("---\nname: a\ndescription: Use it\nuser: hi\nuser: bye\ntools: Read\n---\n")
    assert front.fields == {"name": "a", "description": "Use it\nuser: hi\nuser: bye", "tools": "Read"}


def test_comments_and_blank_lines_above_the_first_field_are_passed_over_in_the_repair() -> None:
    assert read("---\n# mine\n\nname: a: b\n---\n").fields == {"name": "a: b"}


def test_an_indented_field_that_yaml_cannot_place_is_an_error_and_not_description() -> None:
    error = refusal("---\nname: a\ndescription: x\n\ttools: Read\n---\n")
    assert "`tools`" in error.message
    assert error.line == 4


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "NO_FRONTMATTER", 0),
        ("# Heading\n", "NO_FRONTMATTER", 0),
        ("\n---\nname: a\n---\n", "NO_FRONTMATTER", 0),
        ("---\nname: a\nBody", "FRONTMATTER_NOT_CLOSED", 0),
        ("---\n---\nBody", "FRONTMATTER_INVALID", 1),
        ("---\n- a\n- b\n---\n", "FRONTMATTER_INVALID", 2),
        ("---\njust words\n---\n", "FRONTMATTER_INVALID", 2),
        ("---\n: nameless\n---\n", "FRONTMATTER_INVALID", 2),
        ("---\n{a: b}: c\n---\n", "FRONTMATTER_INVALID", 2),
        ("---\nname: a\n\nname: b\n---\n", "DUPLICATE_FIELD", 4),
        ("---\nname: a: b\nname: b\n---\n", "DUPLICATE_FIELD", 3),
        ("---\nname: a\ncategory: x\ncategory: y\n---\n", "DUPLICATE_FIELD", 4),
        ("---\nname: a\nenv:\n  A: x\n  A: y\n---\n", "DUPLICATE_FIELD", 5),
        ("---\nname: a: b\nenv:\n  A: x\n  A: y\n---\n", "DUPLICATE_FIELD", 5),
        ("---\nname: a\nenv: {A: b\n  C d\n---\n", "FRONTMATTER_INVALID", 3),
        ("---\nname: &n a\nmodel: *n\n---\n", "FRONTMATTER_ALIAS", 3),
        (f"---\ntools: {'[' * (MAX_DEPTH + 1)}{']' * (MAX_DEPTH + 1)}\n---\n", "FRONTMATTER_TOO_DEEP", 2),
        (f"---\nname: {'x' * MAX_BYTES}\n---\n", "FRONTMATTER_TOO_LARGE", 0),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, code: str, line: int) -> None:
    error = refusal(text)
    assert (error.code, error.line) == (code, line)


def test_aliases_that_would_multiply_are_refused_at_the_first_one() -> None:
    bomb = "---\nname: x\nenv:\n  a: &a [x, x, x]\n" + "".join(
        f"  {name}: &{name} [*{before}, *{before}, *{before}]\n"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    )
    assert refusal(f"{bomb}---\n").code == "FRONTMATTER_ALIAS"


def test_unclosed_brackets_by_the_hundred_are_refused() -> None:
    assert refusal(f"---\ntools: {'[' * 500}\n---\n").code == "FRONTMATTER_TOO_DEEP"


def test_unclosed_brackets_by_the_ten_thousand_are_refused_or_text() -> None:
    """PyYAML up to 6.0.3 counts them for us; from 6.0.4 on they are not YAML, as any value that is not closed."""
    brackets = "[" * 50_000
    try:
        front = read(f"---\ntools: {brackets}\n---\n")
    except FrontmatterError as error:
        assert error.code == "FRONTMATTER_TOO_DEEP"  # noqa: PT017 - one of two right answers
    else:
        assert (front.fields, front.repaired) == ({"tools": brackets}, True)


def test_tags_build_no_objects() -> None:
    front = read("---\nname: a\ndescription: !!python/object/apply:os.system ['echo hi']\n---\n")
    assert front.fields["description"] == "!!python/object/apply:os.system ['echo hi']"


def test_a_second_document_is_prose_and_no_second_set_of_fields() -> None:
    front = read("---\nname: a\ndescription: first\n--- second\n---\n")
    assert front.fields == {"name": "a", "description": "first\n--- second"}
