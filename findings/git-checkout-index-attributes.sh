#!/usr/bin/env bash
# git 2.39.5 writes files with `checkout-index` by the attributes of the working tree, not by those that it writes. 2.55.0
# does, too.
#
# Expected: `git checkout-index --all --prefix=FOLDER/`, which its page names as the way to export a tree, writes what a
# checkout of the same index writes. The page of gitattributes says that a checkout uses the `.gitattributes` in the
# index, and the file in the working tree where the index has none.
# Seen: it is the other way around. Where the index has another `.gitattributes` than the working tree, the exported
# files have line ends, encodings or contents of filters (a pointer for a file of Git LFS) that do not agree with the
# `.gitattributes` exported beside them, without a word. In an empty working tree the export is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
mkdir "$folder/tree" "$folder/empty"
cd "$folder"
apt-get download --quiet --quiet "git=1:2.39.5-0+deb12u3" # of Debian 12
dpkg --extract git_*.deb git
export PATH="$folder/git/usr/bin:$PATH" GIT_EXEC_PATH="$folder/git/usr/lib/git-core" GIT_TEMPLATE_DIR=
git version
cd tree
git init --quiet
echo "*.bat text eol=crlf" >.gitattributes
printf 'exit\r\n' >run.bat
git add .
echo "*.bat text eol=lf" >.gitattributes # edited, and not added

# The line ends of run.bat in a folder.
ends() {
    if grep -q $'\r' "$1/run.bat"; then echo "CRLF"; else echo "LF"; fi
}

git checkout-index --all --prefix="$folder/exported/"
git --git-dir=.git --work-tree="$folder/empty" checkout-index --all --prefix="$folder/from-empty/"
rm run.bat
git checkout --quiet -- . # the whole index, with its rules
expected=$(ends .)
exported=$(ends "$folder/exported")
from_empty=$(ends "$folder/from-empty")
rules=$(cat "$folder/exported/.gitattributes")
echo "expected: $expected, by the exported rules: $rules"
echo "seen:     $exported; from an empty working tree: $from_empty"
test "$expected" = CRLF && test "$exported" = LF && test "$from_empty" = CRLF && test "$rules" = "*.bat text eol=crlf"
