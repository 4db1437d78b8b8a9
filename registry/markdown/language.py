"""Tells whether a markdown command is in English, the one language whose words tell steps from other lists.

Pure. The evidence for another language has to be there: letters of other scripts, or more of the small words of other
languages than of English ones. A text that says too little of either counts as English.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.markdown.blocks import Section

_ENGLISH = frozenset(["a", "an", "and", "are", "for", "from", "if", "in", "is", "of", "on", "or", "the", "this", "to"])
_OTHER = frozenset(
    re.findall(
        r"\S+",
        """
        auf avec che como das dans del della der des det dla ein eine een est f\u00fcr het ile i\u00e7in ist jest las
        les los mit nel nicht nie niet n\u00e3o och oraz para por pour que si\u0119 sono
        sont uma una und une van ve von voor
        """,
    )
)
"""Small words of some European languages and Turkish that are no English ones."""
_LAST_LATIN = "\u024f"
_SHARE = 7
"""One letter in so many is of another script, in a text of another script that names programs and files."""
_FEW = 3
"""Small words of another language that English text may hold, in names."""


def is_english(sections: tuple[Section, ...]) -> bool:
    """Whether the headings, paragraphs and lists of *sections* are in English, as far as can be seen."""
    text = "\n".join(
        [
            *(section.heading for section in sections),
            *(block.raw for section in sections for block in section.blocks if block.paragraph or block.items),
        ]
    )
    letters = re.findall(r"[^\W\d_]", text)
    if sum(letter > _LAST_LATIN for letter in letters) * _SHARE > len(letters):
        return False
    words = Counter(re.findall(r"[^\W\d_]+", text.casefold()))
    other = sum(words[word] for word in _OTHER)
    return other <= _FEW or other <= sum(words[word] for word in _ENGLISH)
