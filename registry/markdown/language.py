"""Checks whether a markdown command is in English, the only language whose words distinguish steps from other lists.

Pure. Another language needs evidence: letters of other scripts, or more of the small words of other
languages than of English ones. A text with too little evidence counts as English.
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
"""Small words of some European languages and Turkish that are not English words."""
_LAST_LATIN = "\u024f"
_SHARE = 7
"""In a text of another script that names programs and files, at least one letter in this many is of that script."""
_FEW = 3
"""Small words of another language that English text may contain, in names."""


def is_english(sections: tuple[Section, ...]) -> bool:
    """Whether the headings, paragraphs and lists of *sections* seem to be in English."""
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
