#!/usr/bin/env bash
# obstore 0.12.1 deletes an object that is renamed to the name that it has.
#
# Expected: nothing changes, as with a file, or an error says that both names are the same.
# Seen: the call succeeds and the object is gone, since a store that cannot rename copies the object and then deletes
# the source. Copying an object to its own name leaves it. A store in a folder keeps the object, so that tests which use
# one do not show the loss.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "obstore==0.12.1"
mkdir "$folder/store"
"$folder/venv/bin/python" - "$folder/store" <<'PYTHON'
import sys

import obstore
from obstore.store import LocalStore, MemoryStore


def keeps(store: object, change: object) -> bool:
    """Whether an object is still there after a call of *change* with its name as source and target."""
    obstore.put(store, "report.txt", b"text")
    change(store, "report.txt", "report.txt")
    return [found["path"] for batch in obstore.list(store) for found in batch] == ["report.txt"]


seen = {
    "copy in memory": keeps(MemoryStore(), obstore.copy),
    "rename in memory": keeps(MemoryStore(), obstore.rename),
    "rename in a folder": keeps(LocalStore(sys.argv[1]), obstore.rename),
}
print("expected:", dict.fromkeys(seen, True), "or an error")
print("seen:    ", seen)
sys.exit(seen != {"copy in memory": True, "rename in memory": False, "rename in a folder": True})
PYTHON
