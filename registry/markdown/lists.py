"""Distinguishes lists of steps from other numbered lists: rules, fields of an output, examples, types, options.

Pure. Words decide, so this can be wrong; the conversion reports every list that it leaves out, with its line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.markdown.blocks import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.markdown.blocks import Block, Item, Section


def _words(text: str) -> str:
    """A pattern for any of the words of *text*; if it has commas, for any of the phrases between them."""
    parts = [part.strip() for part in text.split(",")] if "," in text else text.split()
    return rf"(?:{'|'.join(parts)})"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


NAMES = "names things, not actions"
NO_ACTION = "does not name actions"
"""Reasons based only on words."""
_NO_STEPS = _pattern(
    r"\b"
    + _words("""
        rules? guidelines? principles? constraints? conventions? standards? notes? reminders? tips? warnings?
        outputs? formats? templates? schema structure deliverables? examples? usage arguments? parameters?
        options? patterns areas strategies modes factors topologies variants flags? syntax types? categories
        criteria requirements? prerequisites? preconditions? features? benefits? capabilities faq
        troubleshooting references? resources limitations? anti-patterns? glossary levels? metrics? questions?
        issues? problems? summary overview recap scenarios? expected success considerations? cases related see
        philosophy description operations practices pitfalls mistakes definitions? permissions compatibility
    """)
    + r"\b"
)
"""Headings under which numbered lists are not steps."""
_TOPICS = _pattern(
    r"(?:the |your |project |current )?(?:context|background|purpose|overview|about|goals?|objectives?|introduction"
    r"|summary|important|critical)"
)
"""Whole headings of the same kind: "Context" is one, "Context loading" may be a step."""
_STEP_WORDS = r"\b" + _words("""
    steps? process workflow procedure instructions? tasks? plan execution phases? implementation actions? flow
    sequence pipeline todo
""")
_STEPS = _pattern(_STEP_WORDS + r"\b")
"""Headings under which they are steps, whatever else the heading says."""
_STEPS_END = _pattern(_STEP_WORDS + r"\W*$")
"""The same, with so much certainty that the items need not name actions."""
_PLAIN_STEPS = _pattern(r"\b(?:steps?|process|workflow|procedure|instructions?)\W*$")
"""The same for headings further up."""
_PROCESS = _pattern(r"\b(?:steps?|process|workflow|procedure)\W*$")
_ALWAYS = (
    r"(?!when (?:(?:the |this |a |an )?(?:user|command|skill|prompt|agent)s? (?:is |are )?|you(?:'re| are)? |i )?"
    r"(?:runs?|running|invok|call(?:s|ed|ing)?\b|execut|trigger|us(?:es?|ed|ing)\b|start|activated))"
)
"""Not "When the user runs this", which always applies when the command runs."""
_ALTERNATIVE = _pattern(
    rf"^{_ALWAYS}(?:"
    + _words("if when unless otherwise alternative(?:ly|s)? fallback recovery rollback error\\shandling")
    + r"\b"
    r"|(?:no|with|without) (?:any )?(?:arguments?|args|flags?|parameters?|input)\b"
    r"|(?:arguments?|args|flags?|parameters?|input|code|url|file|path|name|id) (?:is |are |was )?"
    r"(?:not |un)?(?:provided|given|specified|supplied|passed|missing|present|found)\b"
    r"|(?:option|case|scenario|mode|variant|approach|method|path)\s+(?:[a-z]|\d+)\b"
    r"|for (?:an? |each )?[\w-]+ (?:projects?|mode)\b"
    r"|(?:on|upon|in case of|after an?|handling|handle) (?:an? )?(?:failures?|errors?|conflicts?|problems?)\b)"
)
"""Headings of steps for some cases only."""
_AFTERMATH = _pattern(r"(?:after|next steps|post-\w+)\b")
_BEFORE = _pattern(r"(?:before|prior to)\b")
_CONDITIONAL = _pattern(
    rf"^{_ALWAYS}(?:\(?optional(?:ly)?\)?|if|when|unless|otherwise|alternatively|or|else|in case"
    r"|on (?:failure|error|success)|(?:as a )?fallback|should (?:the|any|it|this)|for \w+ only)\b"
)
"""Items of the same kind."""
_LIMITED = _pattern(
    r"[(\[](?:(?:[^()\[\]]*, )?(?:optional(?:ly)?|if|when|unless|only (?:if|when|with|for|on))\b[^()\[\]]*"
    r"|(?:(?:on|in|for|with|by) )?[\w.`-]{1,30} only)[)\]]\W*$"
)
"""Brackets at the end that limit a step to some cases."""
_LABEL_END = re.compile(r"(?<=[)\]])(?:[:.]| [-\u2013\u2014])\s")
_MODE = _pattern(
    r"^\[[0-9a-z]{1,2}\]|^(?:[\w-]+ ){0,3}mode\b(?: (?:workflow|steps|process|instructions))?\s*(?:[(:\u2013\u2014-]|$)"
    r"|^for (?!each\b|every\b|all\b|any\b)"
)
"""Headings of alternative ways, or purposes, to run the command."""
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
    either, any of, note, remember, important, (?:be|is) run (?:before|after|when|on)
""")
_HINTED = _words("""
    categories, criteria, aspects?, dimensions?, sections?, fields?, questions?, priorit(?:y|ies), levels?,
    across, formats?, considering, considers?, based on, depending on, covers?, covering,
    ask(?: the user)?(?: for| about)?, tell me, provide, report(?:s|ing)?, show, display, output, return
""")
_LEAD_IN = _pattern(r"\b" + _ANNOUNCED + r"\b[^.!?\n]*:\s*$")
"""The end of a paragraph that announces something other than steps."""
_CONSEQUENCE = _pattern(r"(?:this|it|that|which|the (?!command|agent|assistant|skill)[\w./ -]{1,40}?) will(?: \w+)?:")
"""A paragraph that announces effects, which are not steps."""
_WEAK_LEAD_IN = _pattern(r"\b" + _HINTED + r"\b[^.!?\n]*:\s*$")
"""The same, if the items do not name actions."""
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
_MAX_LABELLED_LENGTH = 300
_SHOWN = 60
"""Characters of a paragraph that a reason quotes."""
_TITLE = re.compile(r"^(?:\*\*|__)[^*_]+(?:\*\*|__)[.:]?$")
_PLACEHOLDER = re.compile(r"\[[^\[\]]+\]|\{[^{}]+\}|<[^<>]+>|\.{3}|\u2026")
_PARALLEL = _pattern(
    r"\b"
    + _words("in parallel, parallel(?:ly|ized), concurrently, simultaneously, at the same time, side by side")
    + r"\b|^\W*(?:parallel|concurrent|simultaneous)\b|\b(?:parallel|concurrent|simultaneous)\W*$"
)
"""Words for parallel execution; "for parallel development" names a purpose instead."""
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
        abort accept acknowledge activate adapt add address adjust advise aggregate align allow analyse analyze
        anchor announce answer append apply approve archive arrange ask assemble assess assign attach audit
        authenticate automate await back backport backup begin benchmark block bootstrap branch break bring
        browse build bump calculate call cancel capture catalog categorize certify change check checkout
        cherry-pick choose chunk cite clarify classify clean clear click clone close collect combine comment
        commit compare compile complain complete compose compute conduct configure confirm connect consider
        consolidate construct consult consume continue convert coordinate copy correct count crawl create crop
        cross customize cut deactivate debug decide decompose deduplicate define delay delegate delete deliver
        deploy deprecate derive describe design detach detect determine develop diagnose disable discover
        discuss dismiss dispatch display divide document download draft drop dump duplicate edit eliminate embed
        emit enable encode encrypt enforce enhance ensure enumerate escalate escape establish estimate evaluate
        examine exclude execute expand explain explore export expose extend extract fail feed fetch fill filter
        finalize find finish fix flag flush focus follow fork form format formulate forward freeze gather
        generate get give go group guide halt hand handle hash help highlight host identify ignore implement
        import improve include increase increment index inform ingest initialise initialize initiate inject
        insert inspect install integrate interview introduce inventory investigate invite invoke isolate iterate
        join jump keep kill label launch lead learn let leverage lint list load locate lock log look lower
        maintain make manage map mark match measure mention merge message migrate minimize mirror mix mock
        modify monitor mount move mute name narrow navigate normalize note notify observe obtain offer omit
        onboard open opt optimise optimize orchestrate order organize outline pack package pair parameterize
        parse patch pause perform persist pick pin ping plan plot point populate port post post-process preload
        prepare preprocess present preserve prevent preview prime print prioritise prioritize proceed process
        produce profile prompt propose protect prove provide provision prune publish pull push put query quote
        raise randomize rank re-run reach react read rebase rebuild recalculate recap receive recheck recommend
        reconcile reconnect record recover redeploy redirect reduce refactor refer refine regenerate register
        reindex reinstall reject release reload relocate remind remove rename render reorganize repair repeat
        rephrase replace replay reply report reproduce request rerun rescan research resend reserve reset resize
        resolve respond restart restore restructure resume retain rethink retrieve retry return reuse reverse
        revert review revise reword rewrite roll rotate route run sample sanitize sanity-check save scaffold
        scan schedule score search secure see seed select send separate serve set setup share ship shorten show
        sign simplify simulate sketch skim skip slice snapshot solve sort spawn specify split spot squash stage
        start stash stop store stress strip structure study submit subscribe substitute suggest summarise
        summarize suppress surface swap switch sync synthesize tag tail take teach tell terminate test think
        throw tidy toggle touch trace track train transcribe transfer transform translate transpile traverse
        triage trigger trim try tune turn type uncomment understand undo unify uninstall unit unlock unpack
        unzip update upgrade upload upsert use validate vendor verify vet view visualize wait walk warm warn
        watch wipe wire work wrap write zip
        """,
    )
)
"""Verbs at the start of steps in public command files."""
_NOUNS = frozenset(
    re.findall(
        r"\S+",
        """
        abort address advise answer approve archive audit back benchmark block branch break build call change
        check clean click close comment commit complete count cross cut debug deploy design display document
        draft drop dump edit embed estimate export fail feed fix flag focus fork form format group guide handle
        hash help host import include increase increment index install interview introduce inventory label lead
        lint list load lock log look map mark match measure merge message mirror mix mock monitor mount move
        name offer open order outline package patch pause perform ping plan plot point port post present preview
        print process profile prompt prune query quote rank reach recap record release reply report request
        research reset return review route run sample save scan schedule score search see select separate set
        setup share show sign simulate sketch slice snapshot sort split stage start stash stop store stress
        strip structure study submit surface swap switch tag tail test touch trace track transfer triage trigger
        try turn type unit update upgrade use vendor view walk watch wire work wrap
        """,
    )
)
"""Those that are nouns as well: "Review criteria" is not an instruction, "Gather requirements" is."""
_ACTIONS = _VERBS - _NOUNS
_OPENINGS = frozenset({"then", "next", "finally", "first", "now", "also", "carefully", "please", "the"})
_EACH = _pattern(r"^for (?:each|every|all)\b[^,:.]{1,60}[,:]\s+(?=\S)")
"""A leading "For each file, …" before the instruction."""
_BRACKETED = re.compile(r"[(\[][^()\[\]]*[)\]]")
_REST = _pattern(r"\s(?:for|of|to|in|with|on|about|from|by|before|after|when|and)\s|\s[|/\u2013\u2014-]\s|[:,]")
"""The end of a heading's subject."""


def why_no_steps(
    block: Block, lead_in: str, section: Section, *, headings: tuple[str, ...], expected: bool, lenient: bool
) -> str | None:
    """Why the list *block* of *section* is not a list of steps; None if it is one.

    *lead_in* is the paragraph right before it, *headings* the section's own and those above it. If steps are
    *expected*, since the file says that it is a command, a list need not name actions; if no list of the file
    names any, *lenient*, a list of titles is enough.
    """
    announced = why_announced_otherwise(lead_in, headings)
    if announced is not None:
        return announced
    items = [plain(item.text) for item in block.items]
    if _most(items, lambda text: bool(_PLACEHOLDER.fullmatch(text))):
        return "reads as a template"
    if _most(items, lambda text: bool(_RULE.match(text))):
        return "reads as rules"
    if _most(items, lambda text: text.endswith("?")):
        return "asks questions"
    written = [item.text for item in block.items]
    acting = _most(items, begins_with_verb)
    titled = lenient and (_most(written, _is_title) or _most(items, _acts_behind_its_label))
    lead_in = plain(lead_in)
    stepped = bool(_STEP_LEAD_IN.search(lead_in)) or bool(_STEPS_END.search(_subject(section.heading)))
    if not (acting or titled or stepped) and _most(written, _is_label):
        return NAMES
    if (
        _WEAK_LEAD_IN.search(lead_in)
        and not _STEP_LEAD_IN.search(lead_in)
        and not (acting and says_steps(section.heading))
    ):
        return _announced(lead_in)
    stepped = stepped or any(_PLAIN_STEPS.search(_subject(heading)) for heading in headings)
    alone = not section.heading and not lead_in.rstrip().endswith(":")
    return None if expected or acting or stepped or titled or alone else NO_ACTION


def why_announced_otherwise(lead_in: str, headings: tuple[str, ...]) -> str | None:
    """Why the text says that the list after *lead_in* under *headings* is not steps; None if it does not."""
    for heading in headings:
        if is_passed_over(heading):
            return f'stands under "{heading}"'
    lead_in = plain(lead_in)
    if _LEAD_IN.search(lead_in) and not _STEP_LEAD_IN.search(lead_in):
        return _announced(lead_in)
    if _CONSEQUENCE.fullmatch(lead_in):
        return _announced(lead_in)
    if is_alternative(_STEP_LABEL.sub("", lead_in)) and lead_in.endswith(":"):
        return f'is for some cases only: "{_end_of(lead_in)}"'
    return None


def _announced(lead_in: str) -> str:
    return f'is announced by "{_end_of(lead_in)}"'


def _end_of(text: str) -> str:
    """The last words of *text*."""
    return text if len(text) <= _SHOWN else f"\u2026 {text[-_SHOWN:].partition(' ')[2]}"


def is_alternative(heading: str) -> bool:
    """Whether *heading* announces something done in some cases only."""
    return bool(_ALTERNATIVE.match(heading))


def is_aftermath(heading: str) -> bool:
    """Whether *heading* announces something done after everything else."""
    return bool(_AFTERMATH.match(_letters(heading)))


def is_before(text: str) -> bool:
    """Whether *text* announces something done before something else."""
    return bool(_BEFORE.match(_letters(text)))


def is_process(heading: str) -> bool:
    """Whether *heading* names only steps."""
    return bool(_PROCESS.search(_subject(heading)))


def ends_in_steps(heading: str) -> bool:
    """Whether *heading* is about steps."""
    return bool(_STEPS_END.search(_subject(heading))) and not is_passed_over(heading)


def is_mode(heading: str) -> bool:
    """Whether *heading* names one of several ways to run the command."""
    return heading.startswith("/") or bool(_MODE.search(_letters(heading)))


def is_passed_over(heading: str) -> bool:
    """Whether nothing under *heading* is a step, according to its subject, the last noun."""
    heading = _letters(heading)
    if _TOPICS.fullmatch(heading.strip(" :")):
        return True
    words = re.findall(r"[A-Za-z][\w-]*", heading)
    if words and words[0].casefold() in _ACTIONS:
        return False
    for text in (_subject(heading), _BRACKETED.sub(" ", heading)):
        others = [found.end() for found in _NO_STEPS.finditer(text)]
        steps = [found.end() for found in _STEPS.finditer(text)]
        if others or steps:
            return max(others, default=0) > max(steps, default=0)
    return False


def _subject(heading: str) -> str:
    """The subject of *heading*, up to the first word that starts a complement."""
    return _REST.split(_BRACKETED.sub(" ", heading), maxsplit=1)[0]


def says_steps(heading: str) -> bool:
    """Whether *heading* says that the items under it are steps."""
    return bool(_STEPS.search(heading)) and not is_passed_over(heading)


def is_conditional(item: Item) -> bool:
    """Whether *item* is done in some cases only: "If the tests fail, …", "Otherwise …", "On failure: …"."""
    return bool(_CONDITIONAL.match(plain(item.text)))


def is_limited(text: str) -> bool:
    """Whether brackets at the end of the step *text* limit it to some cases: "(optional)", "(if any)"."""
    text = plain(text)
    return any(_LIMITED.search(part.rstrip(" :.")) for part in (text, _LABEL_END.split(text, maxsplit=1)[0]))


def _letters(heading: str) -> str:
    """*heading* from its first letter or digit on."""
    return re.sub(r"^[^\w(\[]+", "", heading)


def says_parallel(text: str) -> bool:
    """Whether *text* says that the following items run in parallel."""
    return bool(_PARALLEL.search(text)) and not _NOT_PARALLEL.search(text)


def begins_with_verb(text: str) -> bool:
    """Whether *text* starts like an instruction."""
    words = re.findall(r"[A-Za-z][\w-]*", _EACH.sub("", text))[:3]
    if words and words[0].casefold() in _OPENINGS:
        del words[0]
    return bool(words) and words[0].casefold() in _VERBS


def _is_label(text: str) -> bool:
    """Whether *text* is a name with its meaning: "**feat**: a new feature"."""
    return len(text) <= _MAX_LABELLED_LENGTH and bool(_LABEL.match(text)) and not begins_with_verb(plain(text))


def _is_title(text: str) -> bool:
    """Whether all of *text* is bold."""
    return bool(_TITLE.match(text))


def _acts_behind_its_label(text: str) -> bool:
    """Whether *text* names an action, even after a label: "Impact analysis: Find out who uses it"."""
    label, colon, rest = text.partition(": ")
    return begins_with_verb(rest if colon else label)


def _most(texts: list[str], holds: Callable[[str], bool]) -> bool:
    """Whether *holds* is true for more than half of *texts*."""
    return sum(map(holds, texts)) * 2 > len(texts)
