#!/usr/bin/env bash
# lizard 1.24.3 finds no generic function of TypeScript in a file named .ts, but the same one in a file named .tsx.
#
# Expected: `function first<T>(…)` is a function with a length and a complexity, whatever the file is called, as it is
# where the type parameter is left out.
# Seen: it is missing from the list, without a word. A limit for the complexity of functions does not hold for it: the
# exit status is that of a file in which all is well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "lizard==1.24.3"
cat >"$folder/lists.ts" <<'TYPESCRIPT'
export function first<T>(items: T[]): T | undefined {
  if (items.length) {
    return items[0];
  }
  return undefined;
}

export function count(items: string[]): number {
  return items.length;
}
TYPESCRIPT
cp "$folder/lists.ts" "$folder/lists.tsx"
answer() {
    local status=0
    "$folder/venv/bin/lizard" --csv "$folder/$1" | cut -d, -f8 | tr '\n' ' '
    "$folder/venv/bin/lizard" --CCN 1 --warnings_only "$folder/$1" >"$folder/warnings" || status=$?
    echo "and exit status $status with a limit of one path"
}
ts=$(answer lists.ts)
tsx=$(answer lists.tsx)
echo "expected: $tsx, as with lists.tsx"
echo "seen:     $ts"
test "$ts" = '"count" and exit status 0 with a limit of one path' &&
    test "$tsx" = '"first" "count" and exit status 1 with a limit of one path'
