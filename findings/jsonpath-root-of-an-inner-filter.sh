#!/usr/bin/env bash
# python-jsonpath 2.2.2 reads `$` in a filter within a filter from the value that the outer filter looks at.
#
# Expected: `$` is the whole document wherever it stands, as RFC 9535 says, also where the environment is strict.
# Seen: in `$.shops[?@.items[?@.price <= $.limit]]` the limit is looked for in each shop. The shop that has what is
# asked for is not found, and another is found by a limit of its own, without an error. In a filter that stands in no
# other one, `$` is the document, also where the query goes as deep.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "python-jsonpath[strict]==2.2.2"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from jsonpath import JSONPathEnvironment

DOCUMENT = {
    "limit": 5,
    "shops": [
        {"name": "cheap", "items": [{"price": 2}]},
        {"name": "dear", "items": [{"price": 90}], "limit": 100},
    ],
}
environment = JSONPathEnvironment(strict=True)
seen = {
    query: environment.findall(query, DOCUMENT)
    for query in (
        "$.shops[?@.items[?@.price <= 5]].name",
        "$.shops[?@.items[?@.price <= $.limit]].name",
        "$.shops[?count(@.items[?@.price <= $.limit]) == 1].name",
        "$.shops[*].items[?@.price <= $.limit].price",
    )
}
print("expected:", dict(zip(seen, [["cheap"], ["cheap"], ["cheap"], [2]], strict=True)))
print("seen:    ", seen)
sys.exit(list(seen.values()) != [["cheap"], ["dear"], ["dear"], [2]])
PYTHON
