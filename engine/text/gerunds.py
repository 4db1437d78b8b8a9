"""The progressive form of a task: "Analyze code" becomes "Analyzing code...".

Pure. The todos view chooses between the two texts; the validator judges the wording of tasks.

Tasks are usually imperatives, so an unknown first word counts as a verb unless it is a known noun or ends like one
("Database", "Validation"): such a text stays unchanged. Verbs joined to the first are changed with it ("Generate and
run tests") if they are clearly verbs: "Analyze tests and reports" must not lose its nouns.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from engine.text.lexicon import (
    CLEAR_VERBS,
    COMMON_VERBS,
    COMPOUNDS,
    DETERMINERS,
    DOUBLED,
    DOUBLED_ROOTS,
    FUNCTION_WORDS,
    IRREGULAR,
    NOUN_ENDINGS,
    NOUNS,
    PARTICLES,
    PREFIXES,
    SUBORDINATORS,
    VERBS_LIKE_NOUNS,
)

_FIRST: Final = re.compile(r"([A-Za-z][a-z]*-)?([A-Za-z][a-z]+)(?=[\s,:;/&]|$)")
"""A first word that can be a verb: plain letters, no capitals inside, at most one hyphen."""
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z'-]*")
_CLAUSE_END: Final = re.compile(r"[:;(\[{<\"'`\u201c\u2018]|[.!?]\s")
_CONJUNCTIONS: Final = frozenset({"and", "or", "then"})
_JOINT: Final = re.compile(r"\s*[,/&+]\s*")
_WORD_END: Final = re.compile(r"\Z|[\s,/&+]|[.:;!?](?:\s|\Z)")
"""Ends of a word that is not part of a path, a file name or an option."""
_ENDING: Final = re.compile(r"[\s.…]+\Z")
_ONE_SYLLABLE: Final = re.compile(r"(?:[^aeiou]*qu|[^aeiou]*)[aeiouy][bcdfgklmnprstvz]")
"""Consonants, one vowel, one consonant that doubles: run, ship, quit, but not read, test, show."""


@lru_cache(maxsize=4096)  # each look at a run asks for the same tasks
def active_form(task: str) -> str:
    """*task* in progress, with "..." in place of its final full stop."""
    text = _ENDING.sub("", task.strip())
    if not text:
        return "Working..."
    return _in_progress(text) + "..."


def gerund(verb: str) -> str:
    """The -ing form of a lower-case verb, in American spelling."""
    if verb in IRREGULAR:
        return IRREGULAR[verb]
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    if verb.endswith("ic"):
        return verb + "king"
    return verb + (verb[-1] if _doubles(verb) else "") + "ing"


def _doubles(verb: str) -> bool:
    """Whether the last letter is doubled: in words of one syllable, or with the stress on the last one."""
    if _ONE_SYLLABLE.fullmatch(verb) or verb in DOUBLED:
        return True
    return any(verb.startswith(prefix) and verb[len(prefix) :] in DOUBLED_ROOTS for prefix in PREFIXES)


def _in_progress(text: str) -> str:
    """*text* with its first verb, and those joined to it, in their -ing form."""
    first = _verb_at(text, 0)
    if first is None:
        return text
    start, end = first
    pieces = [text[:start], _inflect(text[start:end])]
    clause = _CLAUSE_END.search(text, end)
    for start, stop in _joined(text, end, clause.start() if clause else len(text)):
        pieces += [text[end:start], gerund(text[start:stop])]
        end = stop
    return "".join([*pieces, text[end:]])


def _verb_at(text: str, position: int) -> tuple[int, int] | None:
    """The span of the verb of the imperative at *position*; an adverb may come first."""
    match = _FIRST.match(text, position)
    if match is None:
        return None
    start, end = match.span(2)
    following = _WORD.match(text, end + 1)
    word, after = match[2].lower(), following[0].lower() if following else ""
    if match[1] is None and f"{word} {after}" in COMPOUNDS and following:
        return following.span()
    if match[1] is not None and match[1][:-1].lower() not in PREFIXES:
        return None
    if text[end : end + 1] == "/" and not (_is_curated(word) and _is_curated(after) and _ends(text, following)):
        return None
    if _is_verb(word, after):
        return start, end
    if word.endswith("ly") and following and _is_curated(after):
        return following.span()
    return None


def _joined(text: str, position: int, end: int) -> list[tuple[int, int]]:
    """The spans of verbs joined to the one before *position*: "and run", ", create"."""
    found: list[tuple[int, int]] = []
    adjacent = True
    before, left, verb = "", position, position
    for match in _WORD.finditer(text, position, end):
        word = match[0]
        if word in SUBORDINATORS or (before == "to" and _is_curated(word)):
            break
        joint = before in _CONJUNCTIONS or _JOINT.fullmatch(text[left : match.start()]) is not None
        apart = (left == verb or text[match.start() - 1].isspace()) and _ends(text, match)
        if joint and apart and (word in CLEAR_VERBS or (adjacent and word in COMMON_VERBS)):
            found.append(match.span())
            verb = match.end()
        elif word not in _CONJUNCTIONS and word not in PARTICLES:
            adjacent = False
        before, left = word, match.end()
    return found


def _ends(text: str, word: re.Match[str] | None) -> bool:
    """Whether *word* ends here, and is not the beginning of `test.py` or `test_all`."""
    return word is not None and _WORD_END.match(text, word.end()) is not None


def _inflect(word: str) -> str:
    """The -ing form of *word*, with the case of its first letter kept."""
    return word[0] + gerund(word.lower())[1:]


def _is_curated(word: str) -> bool:
    return word in CLEAR_VERBS or word in COMMON_VERBS


def _is_verb(word: str, after: str) -> bool:
    """Whether a text that starts with *word*, followed by *after*, is an imperative."""
    if _is_curated(word):
        return True
    if word in FUNCTION_WORDS or _has_other_form(word):
        return False
    if word in VERBS_LIKE_NOUNS or after in DETERMINERS:
        return True
    return word not in NOUNS and not word.endswith(NOUN_ENDINGS)


def _has_other_form(word: str) -> bool:
    """Whether *word* is a gerund, a past or third-person form, a plural or an adverb rather than an imperative."""
    if word in VERBS_LIKE_NOUNS:
        return False
    if word.endswith("ing"):
        return re.search("[aeiouy]", word[:-3]) is not None
    if word.endswith("ed"):
        return not word.endswith("eed")
    return word.endswith("ly") or (word.endswith("s") and not word.endswith("ss"))
