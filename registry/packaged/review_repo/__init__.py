"""The agents of `/review-repo`: programs and functions that review the git repository in which they run.

No effects here. Each agent reads the repository and never writes to it; none uses a model.
"""

CALLED = (
    "registry.packaged.review_repo.structure:review",
    "registry.packaged.review_repo.scans:code",
    "registry.packaged.review_repo.texts:text",
    "registry.packaged.review_repo.history:review",
    "registry.packaged.review_repo.conclusion:review",
)
"""A function of each module that has agents."""
