"""Commands in markdown: v1 files, and how they differ from prompts of Claude Code."""

NO_STEPS = "NOT_A_COMMAND"
"""The code of errors for files that are not v1 commands."""
