"""The meanings of findings that are not about security alone: mistakes, workflows, containers, leftovers.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.meaning_form import Meaning

PROJECT = {
    "timeout": Meaning(
        "robustness",
        "Request without a timeout",
        "A server that does not answer blocks the caller forever.",
        "Set a timeout on every request.",
        400,
    ),
    "swallowed": Meaning(
        "robustness",
        "Error swallowed",
        "The failure disappears, and the program goes on in an unexpected state.",
        "Catch the expected exception only, or log it.",
        390,
    ),
    "temporary": Meaning(
        "robustness",
        "Temporary file with a known name",
        "Another user of the machine can make the file first.",
        "Use a function that makes a file with a new name.",
        377,
    ),
    "undefined": Meaning(
        "bug", "Name that is not defined", "The line fails when it runs.", "Define or import the name."
    ),
    "syntax": Meaning("bug", "Code that cannot be parsed", "The file cannot be loaded.", "Correct the syntax."),
    "shared-default": Meaning(
        "bug",
        "Default value shared by all calls",
        "A change in one call is seen by the next.",
        "Use None as the default and make the value in the function.",
    ),
    "late-binding": Meaning(
        "bug",
        "Function made in a loop uses the loop's last value",
        "All functions see the value of the last round.",
        "Bind the value as a default of a parameter.",
    ),
    "comparison": Meaning(
        "bug", "Comparison that is always the same", "The branch is always or never taken.", "Compare what was meant."
    ),
    "unreachable": Meaning(
        "bug", "Code that never runs", "It looks as if it ran.", "Remove it or correct the way to it."
    ),
    "task-lost": Meaning(
        "bug",
        "Task without a reference",
        "It can be collected before it ends, and its error is lost.",
        "Keep the task until it has ended.",
    ),
    "blocking": Meaning(
        "bug",
        "Blocking call in an async function",
        "Every other task waits meanwhile.",
        "Use the async variant, or a thread.",
    ),
    "hooks": Meaning(
        "bug",
        "React hook called under a condition",
        "The order of hooks changes between renders, and state is mixed up.",
        "Call hooks at the top of the component.",
    ),
    "react-key": Meaning(
        "bug",
        "List without keys",
        "React mixes up the state of items when the list changes.",
        "Give each item a stable key.",
    ),
    "null": Meaning(
        "bug",
        "Value that may be absent is used",
        "The line fails when the value is absent.",
        "Check the value, or end the chain with a default.",
    ),
    "promise": Meaning(
        "bug",
        "Error in a promise is lost",
        "An error that is thrown inside does not reach the caller.",
        "Use an async function without `new Promise`.",
    ),
    "bug": Meaning(
        "bug", "Likely mistake", "The code does not do what it seems to say.", "Read the line and correct it."
    ),
    "shell-bug": Meaning(
        "bug",
        "Shell mistake",
        "The script does something else with unusual names or after a failed step.",
        "Quote the expansion, and end the script on a failed step.",
    ),
    "shell-delete": Meaning(
        "bug",
        "Deletes with a variable that may be empty",
        "With an empty variable the command deletes from the root.",
        "Write `${name:?}`, so that an empty value stops the script.",
    ),
    "workflow-injection": Meaning(
        "ci",
        "Text of an outsider in a workflow's script",
        "A title or branch name can carry a command with the job's rights.",
        "Pass the value through `env` and quote it in the script.",
        94,
    ),
    "workflow-trigger": Meaning(
        "ci",
        "Foreign code runs with the repository's rights",
        "The trigger has secrets and write access, and the job checks out code of the pull request.",
        "Use `pull_request`, or do not check the code out.",
        829,
    ),
    "workflow-rights": Meaning(
        "ci",
        "Workflow with more rights than it needs",
        "A step that is taken over can change the repository.",
        "Set `permissions` to what the job needs, first of all `contents: read`.",
        250,
    ),
    "workflow-pin": Meaning(
        "ci",
        "Action without a fixed version",
        "Its owner can change what runs at any time.",
        "Name the full commit of the action, with the version as a comment.",
        829,
    ),
    "workflow-secret": Meaning(
        "ci",
        "Secret reaches more than needs it",
        "A step that is taken over can send it away.",
        "Pass each secret to the one step that needs it.",
        522,
    ),
    "workflow-bug": Meaning(
        "ci", "Mistake in a workflow", "The step fails, is skipped, or does something else.", "Correct the expression."
    ),
    "docker-root": Meaning(
        "docker",
        "Container runs as root",
        "An attacker who takes over the program has all rights in the container.",
        "Add `USER` with an unprivileged user to the last stage.",
        250,
    ),
    "docker-secret": Meaning(
        "secret",
        "Secret in an image",
        "It stays in the image's layers and can be read by everyone who has the image.",
        "Mount it during the build with `--mount=type=secret`.",
        538,
    ),
    "docker-download": Meaning(
        "docker",
        "Download run without a check",
        "A changed download becomes part of the image.",
        "Check a checksum or a signature before running it.",
        494,
    ),
    "docker-base": Meaning(
        "docker",
        "Base image without a version",
        "The next build can have another system.",
        "Name a version, or a digest.",
    ),
    "docker-bug": Meaning(
        "docker",
        "Dockerfile instruction without the meant effect",
        "The image is not what the file seems to say.",
        "Correct the instruction.",
    ),
    "docker-exposed": Meaning(
        "access",
        "Container with rights over its host",
        "An attacker who takes over the program has the host.",
        "Remove the right, or grant the one capability that is needed.",
        250,
    ),
    "conflict": Meaning(
        "bug",
        "Merge conflict committed",
        "The file holds both sides of a merge.",
        "Resolve the conflict and commit the result.",
    ),
    "direction": Meaning(
        "access",
        "Direction character in code",
        "The code looks different from what it does, which hides changes from readers.",
        "Remove the character, or write it as an escape.",
        1007,
    ),
    "read-security": Meaning(
        "access",
        "Security fault",
        "A model found it by reading the file.",
        "Read the place, and correct it if you agree.",
    ),
    "read-bug": Meaning(
        "bug",
        "Fault",
        "A model found it by reading the file.",
        "Read the place, and correct it if you agree.",
    ),
    "read-robustness": Meaning(
        "robustness",
        "Weakness",
        "A model found it by reading the file.",
        "Read the place, and correct it if you agree.",
    ),
    "data-syntax": Meaning(
        "bug",
        "Data file that cannot be parsed",
        "Programs that read the file fail, or ignore it.",
        "Correct the syntax.",
    ),
    "broken-link": Meaning(
        "hygiene",
        "Link to a file that is absent",
        "Readers end at a missing page.",
        "Correct the path or restore the file.",
    ),
    "case-collision": Meaning(
        "hygiene",
        "Names that differ only in case",
        "macOS and Windows can check out only one of the two files.",
        "Rename one of them.",
    ),
    "name": Meaning(
        "hygiene", "Name that Windows cannot hold", "A checkout on Windows stops at this file.", "Rename it."
    ),
    "leftover": Meaning(
        "hygiene",
        "Temporary file is tracked",
        "It changes with every machine and makes diffs noisy.",
        "Remove it with `git rm --cached` and add it to .gitignore.",
    ),
    "env-file": Meaning(
        "secret",
        "Settings file with values is tracked",
        "Files of this name sooner or later hold secrets.",
        "Keep a template such as .env.example and ignore the file itself.",
        540,
    ),
    "large-file": Meaning(
        "hygiene",
        "Large file in the history",
        "Every clone and every CI job downloads it.",
        "Move it to Git LFS or a release asset.",
    ),
    "symlink": Meaning(
        "hygiene",
        "Symbolic link that leads nowhere or outside",
        "It works on one machine only.",
        "Use a relative link inside the repository, or a setting.",
    ),
    "ignored": Meaning(
        "hygiene",
        "Tracked although ignored",
        "Changes to it are recorded although the ignore rule says otherwise.",
        "Remove it with `git rm --cached`, or exclude it from the rule.",
    ),
}
