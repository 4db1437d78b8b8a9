"""Commands and agents that are part of the package and work in any project.

No effects here: `commands/` and `agents/` are data that `registry` reads; the packages beside them are the programs.
"""
