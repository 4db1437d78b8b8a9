#!/usr/bin/env bash
# dulwich 1.2.21 says that a work tree is clean where a link to a folder is new and a script became executable.
#
# Expected: status, and an add of all that has changed, find what git finds. A link is a file to git, wherever it leads.
# Seen: neither finds either of the two, so that a commit lacks them, without a word. A link to a file is found, and a
# link to nowhere. The script is added when it is named; the link to a folder is taken for the folder, of which all is
# there already, and added under no name. A status with untracked_files="normal" has the link, as a folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "dulwich==1.2.21"
mkdir -p "$folder/tree/common"
cd "$folder/tree"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
echo "echo done" >run.sh
echo "text" >common/notes.txt
git init --quiet
git add .
git -c user.name=a -c user.email=a@b commit --quiet --message "Begin"
chmod +x run.sh
ln -s common to-folder
"$folder/venv/bin/python" - <<'PYTHON'
import os
import subprocess
import sys

from dulwich import porcelain


def staged() -> list[str]:
    """What a commit would change, as git says it."""
    words = ["git", "diff", "--cached", "--name-only"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()


def changed() -> list[str]:
    """Names of what status finds."""
    found = porcelain.status(".", untracked_files="all")
    return sorted({os.fsdecode(name) for name in (*found.unstaged, *found.untracked)})


seen = {"status": changed()}
os.symlink("run.sh", "to-file")
seen["status with a link to a file"] = changed()
porcelain.add(".")
seen["added as all"] = staged()
porcelain.add(".", paths=["run.sh", "to-folder"])
seen["added by name"] = staged()
subprocess.run(["git", "add", "."], check=True)
seen["added by git"] = staged()
for case, names in seen.items():
    both = ["run.sh", "to-folder"] if case == "status" else ["run.sh", "to-file", "to-folder"]
    print(f"{case}: expected {both}, seen {names}")
sys.exit(
    list(seen.values()) != [[], ["to-file"], ["to-file"], ["run.sh", "to-file"], ["run.sh", "to-file", "to-folder"]]
)
PYTHON
