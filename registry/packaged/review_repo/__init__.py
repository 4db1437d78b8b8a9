"""The agents of `/review-repo`: programs and functions that review the git repository they are run in.

No effects here. Each agent reads the repository and never writes into it; none asks a model.
"""
