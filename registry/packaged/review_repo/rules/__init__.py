"""The table of our own rules for ast-grep, in all languages.

Pure: tables, one module for each language or family.
"""

from __future__ import annotations

import json

from registry.packaged.review_repo.rules import go, java, javascript, others, php, python, ruby

RULES = (*python.RULES, *javascript.RULES, *go.RULES, *java.RULES, *php.RULES, *ruby.RULES, *others.RULES)
BY_ID = {rule.id: rule for rule in RULES}


def as_yaml() -> str:
    """All rules as the documents of one file that ast-grep reads; JSON is YAML."""
    return "\n---\n".join(json.dumps(document) for rule in RULES for document in rule.documents())
