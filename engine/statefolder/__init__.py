"""The state folder of a project: where it is, and whether this user made it.

What lies in a project is input: it may have come with a clone, an archive or a copy. A state folder is believed only
where a stamp says that this user made it (`guard.py`), and nothing of it is reached through a link (`links.py`): where
`.claude` is one, state is in a folder of the user's own.
"""
