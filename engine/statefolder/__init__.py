"""The state folder of a project: where it is, and whether this user made it.

The contents of a project are input: they may have come with a clone, an archive or a copy. A state folder is believed
only if a stamp says that this user made it (`guard.py`), and nothing of it is reached through a link (`links.py`): if
`.claude` is one, state is in a folder of the user's own.
"""
