#!/usr/bin/env bash
# dulwich 1.2.21 makes patches of which git does not read that a file became executable: `git am` leaves that out.
#
# Expected: a patch made by format_patch gives the commit that it was made of, as one made by git does.
# Seen: a script that was edited and made executable is edited only, without a word and with exit code 0. The header has
# the lines "old file mode" and "new file mode" where the format has "old mode" and "new mode". Diffs have them too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "dulwich==1.2.21"
mkdir "$folder/tree" "$folder/by-dulwich" "$folder/by-git"
cd "$folder/tree"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init --quiet
echo "echo begun" >run.sh
git add .
git commit --quiet --message "Begin"
echo "echo done" >run.sh
chmod +x run.sh
git commit --quiet --all --message "Finish"
git format-patch --quiet --output-directory "$folder/by-git" -1
"$folder/venv/bin/python" - "$folder/by-dulwich" <<'PYTHON'
import sys

from dulwich import porcelain
from dulwich.repo import Repo

porcelain.format_patch(".", committish=Repo(".").head(), outdir=sys.argv[1])
PYTHON

# What git makes of the patch in a folder: its exit code, the text of the script and its mode.
applied() {
    local code=0
    git reset --quiet --hard "$begin"
    git am --quiet "$folder/$1"/*.patch 2>/dev/null || code=$?
    echo "$code, $(cat run.sh), $(git ls-files --stage run.sh | cut -d ' ' -f 1)"
}

begin=$(git rev-parse HEAD~1)
expected=$(applied by-git)
seen=$(applied by-dulwich)
echo "expected: $expected"
echo "seen:     $seen"
test "$expected" = "0, echo done, 100755" && test "$seen" = "0, echo done, 100644"
