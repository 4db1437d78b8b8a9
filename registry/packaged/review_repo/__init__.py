"""The agents of `/review-repo`: programs and functions that review the git repository in which they run.

No effects here. Each agent reads the repository and never writes to it; none uses a model.
"""
