"""The table of our own rules for ast-grep, in all languages.

Pure: tables, one module for each language or family.
"""

from __future__ import annotations

import json
from collections.abc import Container

from registry.packaged.review_repo.rules import go, java, javascript, others, php, python, ruby

RULES = (*python.RULES, *javascript.RULES, *go.RULES, *java.RULES, *php.RULES, *ruby.RULES, *others.RULES)
BY_ID = {rule.id: rule for rule in RULES}
LANGUAGES = frozenset(language for rule in RULES for language in rule.languages)
"""As ast-grep names them."""


def as_yaml(wanted: Container[tuple[str, str]] | None = None) -> str:
    """All rules, or the *wanted* ones by id and language: the documents of one file for ast-grep; JSON is YAML."""
    documents = (
        rule.document(language)
        for rule in RULES
        for language in rule.languages
        if wanted is None or (rule.id, language) in wanted
    )
    return "\n---\n".join(json.dumps(document) for document in documents)
