#!/usr/bin/env bash
# PyYAML 6.0.4 takes a key of one letter from the first of several merged mappings, and a longer one from the last.
#
# Expected: the first mapping that is merged wins, as the definition of the merge key says and as 6.0.3 does, whatever
# the key is called.
# Seen: for keys of one letter the first wins, for longer ones the last, so that an update of the third number changes
# settings without a word. A repeated pair is recognized by the identity of its key's text, and Python has only texts
# of one letter once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 6.0.3 6.0.4; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "PyYAML==$version"
done
cat >"$folder/merge.py" <<'PYTHON'
import yaml

TEXT = """
first: &first {k: 1, key: 1}
second: &second {k: 2, key: 2}
both: {<<: [*first, *second]}
"""
print(yaml.safe_load(TEXT)["both"])
PYTHON
before=$("$folder/6.0.3/bin/python" "$folder/merge.py")
seen=$("$folder/6.0.4/bin/python" "$folder/merge.py")
echo "expected: {'k': 1, 'key': 1}, as with 6.0.3: $before"
echo "seen:     $seen"
test "$before" = "{'k': 1, 'key': 1}" && test "$seen" = "{'k': 1, 'key': 2}"
