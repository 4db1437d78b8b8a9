"""Tells lists of steps from the other lists that people number: rules, fields of an output, examples, types, options.

Pure. Words decide, so this can be wrong; the conversion reports every list that it passes over, with its line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.markdown.blocks import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.markdown.blocks import Block, Item, Section


def _words(text: str) -> str:
    """A pattern of any of the words of *text*; commas stand between phrases where words alone do not do."""
    parts = [part.strip() for part in text.split(",")] if "," in text else text.split()
    return rf"(?:{'|'.join(parts)})"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_NO_STEPS = _pattern(
    r"\b"
    + _words("""
        rules? guidelines? principles? constraints? conventions? standards? notes? reminders? tips? important warnings?
        outputs? formats? templates? schema structure deliverables? examples? usage arguments? parameters? options?
        flags? syntax types? categories criteria requirements? prerequisites? features? benefits? capabilities faq
        troubleshooting references? resources limitations? anti-patterns? glossary levels? metrics? questions?
        scenarios? expected success checklist related see philosophy description behaviou?rs? practices pitfalls
        mistakes definitions? permissions compatibility
    """)
    + r"\b"
)
"""Headings under which numbered lists are no steps."""
_TOPICS = _pattern(
    r"(?:the |your |project |current )?(?:context|background|purpose|overview|about|goals?|objectives?|introduction"
    r"|summary)"
)
"""Whole headings of the same kind: "Context" is one, "Context loading" may be a step."""
_STEPS = _pattern(
    r"\b"
    + _words("""
        steps? process workflow procedure instructions? tasks? plan execution phases? implementation actions? flow
        sequence pipeline todo
    """)
    + r"\b"
)
"""Headings under which they are, whatever else the heading says."""
_ALTERNATIVE = _pattern(
    r"^(?:"
    + _words("if when unless otherwise alternative(?:ly|s)? fallback recovery rollback error\\shandling")
    + r"\b"
    r"|(?:option|case|scenario|mode|variant|approach|method|path)\s+(?:[a-z]|\d+)\b"
    r"|for (?:an? |each )?[\w-]+ (?:projects?|mode)\b"
    r"|(?:on|upon|in case of|after an?|handling|handle) (?:an? )?(?:failures?|errors?|conflicts?|problems?)\b)"
)
"""Headings of what is done in some cases only."""
_CONDITIONAL = _pattern(
    r"^(?:\(?optional(?:ly)?\)?|if|when|unless|otherwise|alternatively|or|else|in case|on (?:failure|error|success)"
    r"|(?:as a )?fallback|should (?:the|any|it|this)|for \w+ only)\b"
)
"""Items of the same kind."""
_RULE = _pattern(
    r"^"
    + _words("""
        always, never, do not, don't, avoid, must, should, only, no, be, keep in mind, remember, note, prefer,
        ensure that, make sure, you (?:must|should|can|may), all, every, any, each
    """)
    + r"\b"
)
_ANNOUNCED = _words("""
    rules?, guidelines?, principles?, includ(?:e|es|ing), contain(?:s|ing)?, consists? of, examples?, such as, types?,
    following (?:fields?|sections?|formats?|types?|categories|criteria|aspects?|areas?|information|details?),
    following (?:dimensions?|elements?|items?|structure|questions?|rules?|guidelines?), options?, choose, one of,
    either, any of, categories, across, formats?, considering, considers?, based on, depending on, criteria, aspects?,
    dimensions?, sections?, fields?, covers?, covering, questions?, priorit(?:y|ies), levels?, note, remember,
    important, ask(?: the user)?(?: for| about)?, tell me, provide, report(?:s|ing)?, show, display, output, return
""")
_LEAD_IN = _pattern(r"\b" + _ANNOUNCED + r"\b[^.!?\n]*:\s*$")
"""The end of a paragraph that announces something other than steps."""
_STEP_LABEL = _pattern(r"^(?:step|phase|part)?\s*\d{0,3}[a-z]?\s*[:.)-]\s*")
_STEP_LEAD_IN = _pattern(
    r"\b"
    + _words("""
        steps?, process, workflow, procedure, tasks?, in (?:this |the following )?order, in sequence, phases?,
        do the following
    """)
    + r"\b"
)
_LABEL = re.compile(
    r"^(?:\*\*|__)?(?:`[^`]{1,40}`|[\w/+&' -]{1,40})(?:\*\*|__)?\s*(?::(?:\*\*|__)?|\s[-\u2013\u2014])\s+\S"
)
_LONGEST_LABELLED = 300
_TITLE = re.compile(r"^(?:\*\*|__)[^*_]+(?:\*\*|__)[.:]?$")
_PARALLEL = _pattern(
    r"\b"
    + _words("parallel(?:ly|ized)?, concurrent(?:ly)?, simultaneous(?:ly)?, at the same time, side by side")
    + r"\b"
)
_NOT_PARALLEL = _pattern(
    r"\b"
    + _words("""
        not, never, no, don't, avoid, without, instead of, non, sequential(?:ly)?, one (?:at a time|by one|after),
        in order
    """)
    + r"\b"
)
_VERBS = frozenset(
    re.findall(
        r"\S+",
        """
        add adjust align analyse analyze announce append apply archive ask assemble assess assign attach audit
        authenticate automate back backup benchmark bootstrap branch break browse build bump calculate call
        capture catalog categorize change check checkout choose clarify classify clean clear clone close
        collect combine commit compare compile complete compose compute configure confirm connect consider
        consolidate construct consult continue convert copy correct create cross customize debug decide define
        delegate delete deliver deploy derive describe design detect determine develop diagnose discover
        discuss dispatch display document download draft edit eliminate enable ensure enumerate establish
        estimate evaluate examine execute expand explain explore export extend extract fetch fill filter
        finalize find finish fix focus follow form format formulate gather generate get give go group guide
        handle help highlight identify implement import improve index inform initialise initialize inspect
        install integrate interview introduce investigate invoke isolate keep label launch lint list load
        locate log look maintain make manage map mark match measure merge migrate minimize mock modify monitor
        move name normalize note notify obtain open optimise optimize orchestrate order organize outline
        package parse perform persist pick pin plan populate post prepare present preserve print prioritise
        prioritize process produce profile prompt propose provide provision prune publish pull push put query
        rank re-run read rebase rebuild receive recommend record reduce refactor refer refine register release
        reload remove rename render reorganize repeat replace report reproduce request rerun research reset
        resolve restart restore restructure retrieve retry return reuse review revise rewrite roll run
        sanitize save scaffold scan schedule score search secure select send separate set setup share ship
        show simplify simulate skip sort spawn specify stage start stash stop store stress structure study
        submit suggest summarise summarize switch sync synthesize tag take tell test think tidy trace track
        train transform translate triage trigger trim try uninstall unit update upgrade upload use validate
        verify view visualize wait walk watch wire wrap write
        """,
    )
)
"""Verbs that steps begin with in public command files."""
_OPENINGS = frozenset({"then", "next", "finally", "first", "now", "also", "carefully", "please", "the"})


def why_no_steps(
    block: Block, lead_in: str, section: Section, *, headings: tuple[str, ...], expected: bool
) -> str | None:
    """Why the list *block* of *section* is no list of steps; None where it is one.

    *lead_in* is the paragraph right before it, *headings* the section's own and those above it. Where steps are
    *expected*, since the file says that it is a command, a list does not have to say actions.
    """
    announced = why_announced_otherwise(lead_in, headings)
    if announced is not None:
        return announced
    items = [plain(item.text) for item in block.items]
    if _most(items, lambda text: bool(_RULE.match(text))):
        return "reads as rules"
    if _most(items, lambda text: text.endswith("?")):
        return "asks questions"
    written = [item.text for item in block.items]
    acting = _most(items, begins_with_verb)
    if not acting and _most(written, _is_label):
        return "names things and says no action"
    stepped = bool(_STEP_LEAD_IN.search(lead_in)) or bool(_STEPS.search(section.heading))
    titled = _most(written, lambda text: bool(_TITLE.match(text)))
    alone = not section.heading and not lead_in.rstrip().endswith(":")
    return None if expected or acting or stepped or titled or alone else "says no action"


def why_announced_otherwise(lead_in: str, headings: tuple[str, ...]) -> str | None:
    """Why what follows *lead_in* under *headings* is said to be something other than steps; None where nothing is."""
    for heading in headings:
        if is_passed_over(heading):
            return f'stands under "{heading}"'
    if _LEAD_IN.search(lead_in.strip()) and not _STEP_LEAD_IN.search(lead_in):
        return f'is announced by "{lead_in.strip().splitlines()[-1][-60:]}"'
    if is_alternative(_STEP_LABEL.sub("", plain(lead_in))) and lead_in.rstrip(" *_").endswith(":"):
        return f'is for some cases only: "{plain(lead_in)[-60:]}"'
    return None


def is_alternative(heading: str) -> bool:
    """Whether *heading* is that of something done in some cases only."""
    return bool(_ALTERNATIVE.match(heading))


def is_passed_over(heading: str) -> bool:
    """Whether nothing under *heading* is a step."""
    return bool(_NO_STEPS.search(heading) and not _STEPS.search(heading)) or bool(
        _TOPICS.fullmatch(heading.strip(" :"))
    )


def is_conditional(item: Item) -> bool:
    """Whether *item* is done in some cases only: "If the tests fail, …", "Otherwise …", "On failure: …"."""
    return bool(_CONDITIONAL.match(plain(item.text)))


def says_parallel(text: str) -> bool:
    """Whether *text* says that what follows runs side by side."""
    return bool(_PARALLEL.search(text)) and not _NOT_PARALLEL.search(text)


def begins_with_verb(text: str) -> bool:
    """Whether *text* begins as an instruction does."""
    words = re.findall(r"[A-Za-z][\w-]*", text)[:3]
    if words and words[0].casefold() in {
        "then",
        "next",
        "finally",
        "first",
        "now",
        "also",
        "carefully",
        "please",
        "the",
    }:
        del words[0]
    return bool(words) and words[0].casefold() in _VERBS


def _is_label(text: str) -> bool:
    """Whether *text* is a name with what it means: "**feat**: a new feature"."""
    return len(text) <= _LONGEST_LABELLED and bool(_LABEL.match(text)) and not begins_with_verb(plain(text))


def _most(texts: list[str], holds: Callable[[str], bool]) -> bool:
    """Whether *holds* is true of more than half of *texts*."""
    return sum(map(holds, texts)) * 2 > len(texts)
