"""The packages of a repository, where it has several, and the frameworks that they use.

Pure, but for the listing that it is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from registry.packaged.review_repo.languages import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.packaged.review_repo.files import Listing

_MANIFESTS = frozenset(
    {
        "package.json",
        "pyproject.toml",
        "setup.py",
        "go.mod",
        "Cargo.toml",
        "pom.xml",
        "build.gradle",
        "build.gradle.kts",
        "composer.json",
        "Gemfile",
    }
)
_DEVELOPMENT = re.compile(r'"(devDependencies|keywords|scripts)"\s*:\s*[{\[][^}\]]*[}\]]')
_USES = {
    "mongodb": re.compile(r'"(mongoose|mongodb|monk|mongojs|@nestjs/mongoose|marsdb)"\s*:|\bpymongo\b|\bmongoengine\b'),
    "web": re.compile(
        r'"(express|koa|fastify|hapi|@hapi/hapi|@nestjs/core|next|restify|apollo-server|loopback|sails)"\s*:'
        r"|(?i:\b(flask|django|fastapi|starlette|tornado|aiohttp|bottle|sanic|falcon|graphene|pyramid|connexion)\b)"
        r"|gin-gonic/gin|labstack/echo|gofiber/fiber|go-chi/chi|gorilla/mux|httprouter|spring-boot-starter-web|spring-webmvc|javax\.servlet"
        r"|jakarta\.servlet|\brails\b|\bsinatra\b|laravel/framework|symfony/|slim/slim|actix-web|\baxum\b|\brocket\b"
    ),
    "react": re.compile(r'"(react|preact|next)"\s*:'),
}


def packages_of(listing: Listing) -> list[str]:
    """Folders with a manifest of their own, `.` for the top; empty unless there are several."""
    found = set()
    for file in listing.files:
        folder, _, name = file.path.rpartition("/")
        if name in _MANIFESTS and file.role is Role.SOURCE:
            found.add(folder or ".")
    return sorted(found) if len(found) > 1 else []


def package_of(path: str, packages: Sequence[str]) -> str:
    """The innermost of *packages* that holds *path*, `.` if none does."""
    known = set(packages)
    folder = path.rpartition("/")[0]
    while folder:
        if folder in known:
            return folder
        folder = folder.rpartition("/")[0]
    return "."


def frameworks_of(manifests: Mapping[str, str]) -> set[str]:
    """The frameworks with rules of their own that some manifest names."""
    shipped = [_DEVELOPMENT.sub("", text) for text in manifests.values()]
    return {name for name, pattern in _USES.items() if any(pattern.search(text) for text in shipped)}
