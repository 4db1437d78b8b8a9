"""The Python API: `from engine import OrchestrationEngine`; docs/python-api.md has examples."""
