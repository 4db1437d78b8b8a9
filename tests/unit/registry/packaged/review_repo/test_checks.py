"""Our own checks: secrets, containers, habits, workflows, packages, changed lines."""

from __future__ import annotations

import pytest

from registry.packaged.review_repo.docker import check_compose, check_dockerfile, is_compose, is_dockerfile
from registry.packaged.review_repo.git import changed_lines
from registry.packaged.review_repo.habits import locked
from registry.packaged.review_repo.languages import Role
from registry.packaged.review_repo.packages import frameworks_of, package_of
from registry.packaged.review_repo.secrets import find_secrets
from registry.packaged.review_repo.workflows import workflow_facts

# Made up here, in the form of the real ones, and put together so that no scanner takes this file for a leak.
TOKENS = [
    "AKIA" + "2E0A8F3B244C9986",
    "ghp_" + "9fK2mX7qLw4ZrT8vB1nC5yH3jD6sG0pQaEuI",
    "glpat-" + "x7Qm2LkVtR9wZb4NcYsD",
    "xoxb-" + "938271645012-tGh7Kq2Lm9Zx",
    "sk_live_" + "9Qm2xLkVtR7wZb4NcYsD",
    "npm_" + "9fK2mX7qLw4ZrT8vB1nC5yH3jD6sG0pQaEuI",
]
GOOGLE_KEY = "AIza" + "SyC2v2Lq0XnB4tK7w9Rm5Gd1Hf8Jk3Pz6Qx"
KEY = "-----BEGIN RSA PRIVATE " + "KEY-----\n" + "MIIEpAIBAAKCAQEA7bq2L9Xk4mZp0RwTqVnYcUe3" * 2


def secrets(text: str, path: str = "src/app.py", role: Role = Role.SOURCE) -> list[tuple[str, int, str]]:
    return [(hit.rule, hit.line, hit.confidence) for hit in find_secrets(text, path, role)]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_of_a_known_form_is_found_and_never_repeated(token: str) -> None:
    [hit] = find_secrets(f"\nkey = '{token}'\n", "src/app.py", Role.SOURCE)
    assert (hit.severity, hit.line, hit.redacted) == ("critical", 2, True)
    assert token not in str(hit)


def test_a_private_key_is_found_in_a_file_and_in_a_text() -> None:
    assert secrets(KEY, "deploy/server.key") == [("private-key", 1, "high")]
    assert secrets('key = "' + KEY.replace("\n", "\\n") + '"') == [("private-key", 1, "high")]


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("url = 'postgres://app:7Gh2kQ9x@10.0.3.7/main'", ["address"]),
        ("url = 'postgres://app:7Gh2kQ9x@localhost/main'", []),
        ("url = 'postgres://app:password@10.0.3.7/main'", []),
        ("# Example: postgres://app:7Gh2kQ9x@10.0.3.7/main", []),
        ("api_key = 'zR8v2Lq0XnB4tK7w'", ["named-value"]),
        ("api_key = os.environ['API_KEY']", []),
        ("api_key = 'your-api-key-here'", []),
        ('password = "$DB_PASSWORD1x9"', []),
        ("password = 'correct-horse-battery'", []),
        ("token_url = 'https://example.org/a1b2c3'", []),
        ("'password' => 'required|min:8|max:255'", []),
        ("client_secret = 'qr6stu789vwxyz'", []),
        ("  echo 'client_secret = \"zR8v2Lq0XnB4tK7w\"'", []),
    ],
)  # fmt: skip
def test_values_of_telling_names_are_secrets_unless_they_are_placeholders(text: str, rules: list[str]) -> None:
    assert [rule for rule, _, _ in secrets(text)] == rules


def test_a_key_that_a_comment_or_a_path_calls_made_up_is_none() -> None:
    assert secrets(f"// A self-signed certificate that probes the library\n{KEY}", "src/Ssl.java") == []
    assert secrets(KEY, "integration/tls/server.key") == []
    assert secrets(KEY, "docs/jwt.md") == []


def test_a_token_in_a_comment_and_a_short_value_are_doubtful() -> None:
    key = "AKIA" + "Q3EGRIEP4ZMT7WXD"
    assert secrets(f'//  "accessKey": "{key}"') == [("aws-key", 1, "low")]
    assert secrets(f'key = "{key}"') == [("aws-key", 1, "high")]
    assert secrets("api_key = 'zR8v2Lq0'") == [("named-value", 1, "low")]


@pytest.mark.parametrize(
    "name",
    [
        *("passwd", "db_password", "passphrase", "secret", "secretkey", "secret_key", "apikey", "api_key", "authtoken"),
        *("auth_token", "accesstoken", "access_token", "privatekey", "private_key", "cookie_secret", "client-secret"),
    ],
)
def test_every_telling_name_is_known_in_each_case(name: str) -> None:
    for spelling in (name, name.upper(), name.title()):
        assert secrets(f"{spelling} = 'zR8v2Lq0XnB4tK7w'") == [("named-value", 1, "medium")], spelling


@pytest.mark.parametrize(
    ("path", "role"),
    [
        (".secrets.baseline", Role.SOURCE),
        ("config/auth.sample.php", Role.SOURCE),
        ("tests/test_app.py", Role.TEST),
        ("locales/de.json", Role.SOURCE),
        (".env.example", Role.SOURCE),
        ("openapi.yaml", Role.SOURCE),
        ("examples/app.py", Role.EXAMPLE),
    ],
)
def test_tests_translations_templates_and_examples_hold_no_named_secrets(path: str, role: Role) -> None:
    assert secrets("api_key = 'zR8v2Lq0XnB4tK7w'", path, role) == []


@pytest.mark.parametrize(
    "text",
    [
        "algolia: {\n  appId: 'Q4Z',\n  apiKey: 'ed8b2v2Lq0XnB4tK7w',\n  indexName: 'a',\n}",
        "docsearch({ apiKey: 'ed8b2v2Lq0XnB4tK7w' })",
        "const app = {\n  apiKey: 'ed8b2v2Lq0XnB4tK7w',\n  authDomain: 'a.example.org',\n}",
        f"const app = {{\\n  apiKey: '{GOOGLE_KEY}',\\n  messagingSenderId: '3',\\n}}",
        "user.hashed_password = 'd033e22ae348aeb5660fc2140aec3585'",
        "encrypted_password: 'zR8v2Lq0XnB4tK7w'",
    ],
)
def test_keys_that_pages_carry_in_the_open_and_what_is_made_of_a_secret_are_doubtful(text: str) -> None:
    found = secrets(text)
    assert {confidence for _, _, confidence in found} == {"low"}


def test_a_google_key_elsewhere_is_none_of_a_page() -> None:
    assert secrets(f"MAPS = '{GOOGLE_KEY}'") == [("google-key", 1, "high")]


def test_settings_for_development_hold_doubtful_secrets() -> None:
    assert secrets("api_key: 'zR8v2Lq0XnB4tK7w'", "docker-compose.yml") == [("named-value", 1, "low")]


DOCKERFILE = """\
FROM node:20 AS build
RUN cd /app
ENV API_TOKEN=zR8v2Lq0XnB4
FROM alpine
COPY --from=build /app /app
COPY .env /app/.env
RUN curl -s https://get.example.org | \\
    sh
ADD https://example.org/tool /usr/bin/tool
CMD ["a"]
CMD ["b"]
"""


def test_faults_of_a_dockerfile_are_found_at_their_lines() -> None:
    assert {(hit.rule, hit.line) for hit in check_dockerfile(DOCKERFILE, "Dockerfile")} == {
        ("lost-folder", 2),
        ("secret-in-image", 3),
        ("no-version", 4),
        ("secret-copied", 6),
        ("download-to-shell", 7),
        ("unchecked-download", 9),
        ("repeated-start", 11),
        ("runs-as-root", 11),
    }


@pytest.mark.parametrize(
    "text",
    [
        'FROM alpine:3.20\nUSER app\nCMD ["a"]\n',
        'FROM gcr.io/distroless/static:nonroot\nCMD ["a"]\n',
        'FROM alpine:3.20\nENTRYPOINT ["su-exec", "app", "a"]\n',
        "FROM alpine@sha256:0123\nRUN echo\n",
        "FROM alpine:3.20 AS base\nFROM base\nRUN make\n",
        "",
    ],
)
def test_a_sound_dockerfile_has_no_findings(text: str) -> None:
    assert list(check_dockerfile(text, "Dockerfile")) == []


def test_a_compose_file_that_gives_its_host_away_is_found() -> None:
    text = "services:\n  a:\n    privileged: true\n    volumes:\n      - /var/run/docker.sock:/var/run/docker.sock\n"
    assert [(hit.rule, hit.line) for hit in check_compose(text, "compose.yml")] == [
        ("privileged", 3),
        ("docker-socket", 5),
    ]


@pytest.mark.parametrize(
    ("path", "docker", "compose"),
    [
        ("Dockerfile", True, False),
        ("a/Dockerfile.dev", True, False),
        ("web.dockerfile", True, False),
        ("Dockerfile.md", False, False),
        ("docker-compose.prod.yml", False, True),
        ("compose.yaml", False, True),
    ],
)
def test_container_files_are_known_by_their_names(path: str, *, docker: bool, compose: bool) -> None:
    assert (is_dockerfile(path), is_compose(path)) == (docker, compose)


@pytest.mark.parametrize(
    ("manifests", "other", "ok"),
    [
        ({"package.json": '{"private": true, "dependencies": {"a": "1"}}'}, {"package-lock.json"}, True),
        ({"web/package.json": '{"private": true, "dependencies": {"a": "1"}}'}, {"pnpm-lock.yaml"}, True),
        ({"package.json": '{"private": true, "dependencies": {"a": "1"}}'}, set(), False),
        ({"package.json": '{"main": "a.js", "dependencies": {"a": "1"}}'}, set(), None),
        ({"package.json": "{}"}, set(), None),
        ({"requirements.txt": "a==1.0\nb==2.0 --hash=sha256:0\n"}, set(), True),
        ({"requirements.txt": "a>=1.0\n"}, set(), False),
        ({"requirements.txt": "a==1.0\n", "requirements-dev.txt": "b>=1.0\n"}, set(), True),
        ({"app/requirements.example.txt": "a\n"}, set(), None),
        ({"pyproject.toml": '[project]\ndependencies = ["a"]\n'}, set(), False),
        ({"pyproject.toml": '[build-system]\n[project]\ndependencies = ["a"]\n'}, set(), None),
        ({"pyproject.toml": '[project]\ndependencies = ["a"]\n', "requirements.txt": "a==1\n"}, set(), True),
        ({"go.mod": "module x\nrequire a v1\n"}, {"go.sum"}, True),
        ({"Cargo.toml": "[lib]\n"}, set(), None),
        ({"Cargo.toml": "[package]\n"}, {"Cargo.lock"}, True),
    ],
)
def test_dependencies_are_locked_if_every_application_pins_what_it_installs(
    manifests: dict[str, str], other: set[str], *, ok: bool | None
) -> None:
    assert locked({*manifests, *other}, manifests)["ok"] is ok


def test_a_workflow_says_what_it_may_do_and_what_is_retired() -> None:
    text = (
        "permissions:\n  contents: read\njobs:\n  a:\n    runs-on: ubuntu-20.04\n    steps:\n"
        f"      - uses: actions/checkout@v2\n      - uses: x/y@{'0' * 40}\n      # - uses: z/z@v1\n"
    )
    [fact] = workflow_facts({".github/workflows/a.yml": text, "package.json": "{}"})
    assert (fact["actions"], fact["unpinned"], fact["permissions"]) == (2, 1, True)
    assert fact["retired"] == ["a runner image that is retired", "actions on a retired Node.js"]


def test_frameworks_are_those_that_are_shipped() -> None:
    shipped = {"package.json": '{"dependencies": {"express": "4", "mongoose": "8"}}'}
    tools = {"package.json": '{"devDependencies": {"express": "4", "react": "18"}}'}
    assert frameworks_of(shipped) == {"web", "mongodb"}
    assert frameworks_of(tools) == set()
    assert frameworks_of({"requirements.txt": "Django==5.0\n"}) == {"web"}


def test_a_file_belongs_to_the_innermost_package() -> None:
    assert package_of("a/b/c/d.py", ["a", "a/b"]) == "a/b"
    assert package_of("x.py", ["a"]) == "."


def test_changed_lines_are_read_from_a_diff() -> None:
    diff = (
        b"2\t3\ta.py\x001\t0\t\x00old.py\x00b c.py\x000\t0\t\x00was.py\x00is.py\x000\t1\tless.py\x00\x00"
        b"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1,2 @@\n-x\n+y\n+z\n@@ -9,2 +10,0 @@\n-q\n-r\n"
        b"diff --git a/old.py b/b c.py\n--- a/old.py\n+++ b/b c.py\t\n@@ -0,0 +1 @@\n+w\n"
        b"diff --git a/less.py b/less.py\n--- a/less.py\n+++ b/less.py\n@@ -1 +0,0 @@\n-v\n"
    )
    assert changed_lines(diff) == {"a.py": [[1, 2]], "b c.py": [[1, 1]], "less.py": []}


def test_a_changed_line_that_looks_like_the_name_of_a_file_is_none() -> None:
    diff = (
        b"2\t0\ta.py\x00\x00diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n"
        b"@@ -0,0 +1 @@\n+++ b/other.py\n@@ -7,0 +9 @@\n+x\n"
    )
    assert changed_lines(diff) == {"a.py": [[1, 1], [9, 9]]}
