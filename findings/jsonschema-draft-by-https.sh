#!/usr/bin/env bash
# jsonschema 4.26.0 reads a schema by another draft where the draft's address is written with https.
#
# Expected: "https://json-schema.org/draft-07/schema" is draft-07, or an unknown draft that is an error. The drafts from
# 2019-09 on have https addresses, so that many schemas are written so.
# Seen: the schema is read by the newest draft, with no more than a DeprecationWarning that Python hides by default. Here
# the answer differs: draft-07 ignores what stands beside a $ref, 2020-12 does not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "jsonschema==4.26.0"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

from jsonschema import ValidationError, validate
from jsonschema.validators import validator_for


def is_valid(address: str) -> bool:
    schema = {
        "$schema": address,
        "properties": {"name": {"$ref": "#/definitions/text", "maxLength": 1}},
        "definitions": {"text": {"type": "string"}},
    }
    try:
        validate({"name": "Ada"}, schema)
    except ValidationError:
        return False
    return True


with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    official, with_https = (f"{scheme}://json-schema.org/draft-07/schema" for scheme in ("http", "https"))
    read_by = validator_for({"$schema": with_https}).__name__
    seen = (is_valid(official), is_valid(with_https), read_by, {one.category.__name__ for one in heard})
print("expected: (True, True, 'Draft7Validator', set()), or an error")
print("seen:    ", seen)
sys.exit(seen != (True, False, "Draft202012Validator", {"DeprecationWarning"}))
PYTHON
