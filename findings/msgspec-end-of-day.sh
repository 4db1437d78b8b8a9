#!/usr/bin/env bash
# msgspec 0.23.0 reads the time 23:59:59.9999999 as midnight, at the beginning of the same day.
#
# Expected: digits after the sixth are cut off, as by pydantic and the standard library, or a rounded time stays in its
# day. Seven digits are what .NET writes, and this is its last time of a day (`TimeOnly.MaxValue`).
# Seen: the seventh digit is rounded up to 00:00:00, so that opening hours end before they begin. A moment gets the next
# day, and with it the next month or year. The largest moment of .NET, in the year 9999, is refused as not valid.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "msgspec==0.23.0" "pydantic==2.14.3"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from datetime import datetime, time

import msgspec
from pydantic import TypeAdapter

CASES = {
    "23:59:59.999999": time,
    "23:59:59.9999999": time,
    "2025-12-31T23:59:59.9999999Z": datetime,
    "9999-12-31T23:59:59.9999999Z": datetime,
}


def read(text: str, kind: type) -> str:
    try:
        return f"{msgspec.json.decode(json.dumps(text), type=kind):%Y-%m-%d %H:%M:%S.%f}"
    except msgspec.ValidationError:
        return "refused"


expected = [f"{TypeAdapter(kind).validate_python(text):%Y-%m-%d %H:%M:%S.%f}" for text, kind in CASES.items()]
seen = [read(text, kind) for text, kind in CASES.items()]
print("expected:", expected)
print("seen:    ", seen)
end = "23:59:59.999999"
sys.exit(
    expected != [f"1900-01-01 {end}", f"1900-01-01 {end}", f"2025-12-31 {end}", f"9999-12-31 {end}"]
    or seen != [f"1900-01-01 {end}", "1900-01-01 00:00:00.000000", "2026-01-01 00:00:00.000000", "refused"]
)
PYTHON
