"""The command `completion`: the script that a shell runs to complete command lines.

Effects: prints the script. The proposals are made in `completing.py`, which is called for each key.
"""

from __future__ import annotations

from typing import Annotated

import typer

from mcp_server.cli import console
from mcp_server.cli.completing import SHELLS

# Each asks the program on the path, never a file of the same name in the folder that a person is in.
BASH = """\
_orchestrate() {
    local IFS=$'\\n'
    COMPREPLY=($(command orchestrate --complete bash "${COMP_LINE:0:COMP_POINT}" 2>/dev/null))
}
complete -o default -F _orchestrate orchestrate
"""
ZSH = """\
#compdef orchestrate
_orchestrate() {
    local -a found
    found=("${(@f)$(command orchestrate --complete zsh "${(@Q)words[1,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then
        _describe 'orchestrate' found
    else
        _files
    fi
}
if [[ "$funcstack[1]" = "_orchestrate" ]]; then
    _orchestrate "$@"
else
    compdef _orchestrate orchestrate
fi
"""
FISH = """\
function __orchestrate_complete
    set -l found (command orchestrate --complete fish (commandline -opc) (commandline -ct) 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c orchestrate -f -a '(__orchestrate_complete)'
"""
SCRIPTS = dict(zip(SHELLS, (BASH, ZSH, FISH), strict=True))


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the script that completes command lines in a shell. The guide says where it belongs."""
    if shell not in SCRIPTS:
        raise typer.BadParameter(f'unknown shell "{shell}": choose {", ".join(SHELLS)}')
    console.write(SCRIPTS[shell])
