#!/usr/bin/env bash
# typer 0.29.2 takes a date without dashes for seconds since 1970.
#
# Expected: `--since 20260131` is the 31st of January 2026, which ISO 8601 writes so, or an error, as with typer 0.19.2;
# and `--since 2026` is an error or a year.
# Seen: they are moments in August and on the first day of 1970, and have the time zone UTC where dates with dashes have
# none, so that comparing the two raises an error. The help says no more than <datetime> about what may be written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/program.py" <<'PYTHON'
import datetime

import typer


def main(since: datetime.datetime = typer.Option()) -> None:
    print(since)


typer.run(main)
PYTHON
for version in 0.19.2 0.29.2; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "typer==$version"
done
answer() {
    "$folder/$1/bin/python" "$folder/program.py" --since "$2" 2>/dev/null || echo refused
}
before="$(answer 0.19.2 2026-01-31), $(answer 0.19.2 20260131), $(answer 0.19.2 2026)"
seen="$(answer 0.29.2 2026-01-31), $(answer 0.29.2 20260131), $(answer 0.29.2 2026)"
echo "expected: $before"
echo "seen:     $seen"
test "$before" = "2026-01-31 00:00:00, refused, refused" &&
    test "$seen" = "2026-01-31 00:00:00, 1970-08-23 11:48:51+00:00, 1970-01-01 00:33:46+00:00"
