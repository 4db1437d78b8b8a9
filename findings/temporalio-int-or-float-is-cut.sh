#!/usr/bin/env bash
# temporalio 1.35.0 cuts the fraction off a number for a parameter of the type `int | float`, without an error.
#
# Expected: 0.5 stays 0.5, since it is a value of that type, whatever the order of the two; and for a parameter of the
# type `int` it is refused, as a text or a list is there, and as 1 is for one of the type `bool`.
# Seen: the types of a union are tried in their order, and the first, `int`, takes every number and cuts it. So a pause
# of half a second, or half a dollar, arrives as 0 in a workflow or an activity. With `float | int` it arrives whole.
# The converter for pydantic, of the same library, keeps the fraction, and refuses it for `int`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "temporalio==1.35.0" "pydantic==2.14.3"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from dataclasses import dataclass

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter


@dataclass
class Pause:
    seconds: int | float


def arrives(converter: DataConverter, value: object, hint: object) -> str:
    """What a parameter with the annotation *hint* gets where *value* is given."""
    payloads = converter.payload_converter.to_payloads([value])
    try:
        return repr(converter.payload_converter.from_payloads(payloads, [hint])[0])
    except Exception:
        return "refused"


CASES = ((0.5, int | float), (0.5, float | int), (Pause(0.5), Pause), (0.5, int), ("0.5", int), (1, bool))
seen = [arrives(DataConverter.default, value, hint) for value, hint in CASES]
kept = [arrives(pydantic_data_converter, value, hint) for value, hint in CASES[:4]]
print("expected:", ["0.5", "0.5", "Pause(seconds=0.5)", "refused", "refused", "refused"])
print("seen:    ", seen)
print("pydantic:", kept)
sys.exit(
    seen != ["0", "0.5", "Pause(seconds=0)", "0", "refused", "refused"]
    or kept != ["0.5", "0.5", "Pause(seconds=0.5)", "refused"]
)
PYTHON
