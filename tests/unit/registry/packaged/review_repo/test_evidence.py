"""What the code around a hit makes of it: dropped, doubtful or sure, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.packaged.review_repo import evidence
from registry.packaged.review_repo.evidence import judge, judge_all
from registry.packaged.review_repo.findings import Finding, Hit
from registry.packaged.review_repo.meanings import MEANINGS, SECURITY
from registry.packaged.review_repo.request_data import code_words, parameter_in, source_of
from registry.packaged.review_repo.sql_text import Place, placeholder_of
from registry.packaged.review_repo.suppression import is_suppressed


def hit(meaning: str, line: int = 1, **fields: object) -> Hit:
    given_: dict[str, object] = {
        "tool": "t", "rule": "r", "severity": "high", "confidence": "medium", "file": "app/a.py", "message": "m",
        **fields,
    }  # fmt: skip
    return Hit(meaning=meaning, line=line, **given_)  # type: ignore[arg-type]


def judged(
    meaning: str, code: str, line: int = 0, frameworks: frozenset[str] = frozenset(), **fields: object
) -> object:
    """(severity, confidence) of a hit on the last line of *code*, or why it was dropped."""
    lines = code.split("\n")
    found = judge(hit(meaning, line or len(lines), **fields), lines, frameworks)
    return (found.severity, found.confidence) if isinstance(found, Finding) else found


@pytest.mark.parametrize(
    ("meaning", "code", "expected"),
    [
        ("sql", "name = request.args['n']\nc.execute(\"SELECT a FROM t WHERE b = '%s'\" % name)", ("high", "high")),
        ("sql", "def f(name):\n    c.execute(\"SELECT a FROM t WHERE b = '%s'\" % name)", ("high", "medium")),
        ("sql", "def f(name):\n    c.execute(f'SELECT a FROM t WHERE b = {name}')", ("medium", "medium")),
        ("sql", "c.execute(\"SELECT a FROM t WHERE b = '%s'\" % name)", ("medium", "low")),
        ("sql", "c.execute(f'SELECT a FROM {table}')", ("high", "low")),
        ("sql", "c.execute('SELECT a FROM t WHERE b = %d' % number)", evidence.CONVERTED),
        ("sql", "n = request.args['n']\nc.execute(f\"SELECT a FROM t WHERE b = {int(n)}\")", ("high", "low")),
        ("eval", "eval(text)", ("high", "low")),
        ("eval", "text = req.body.text\neval(text)", ("high", "high")),
        ("eval", "text = req.body.text\nif (!allowed(text)) return\neval(text)", ("high", "medium")),
        ("eval", "other = req.body.other\neval(text)", ("high", "medium")),
        ("xss", "box.innerHTML = '<b>' + name", ("high", "low")),
        ("xss", "name = location.hash\nbox.innerHTML = '<b>' + name", ("high", "medium")),
        ("path", "res.sendFile(req.params.name, { root })", ("high", "low")),
        ("path", "res.sendFile(req.params.name)", ("high", "high")),
        ("hash", "hashlib.md5(password)", ("high", "high")),
        ("hash", "hashlib.md5(page)", evidence.GUARDS_NOTHING),
        ("hash", "etag = hashlib.md5(token)", evidence.GUARDS_NOTHING),
        ("random", "def new_token():\n    return random.choice(letters)", ("medium", "medium")),
        ("random", "def new_token():\n    length = 24 + random.randrange(41)", evidence.GUARDS_NOTHING),
        ("random", "token = random.choice(tokens)", evidence.GUARDS_NOTHING),
        ("tls", "requests.get(url, verify=False)", ("high", "medium")),
        ("tls", "if insecure:\n    verify = False", evidence.BY_CHOICE),
        ("tls", "requests.get('https://localhost/', verify=False)", evidence.BY_CHOICE),
        ("hash", "def cache_key(token):\n    return hashlib.md5(token)", evidence.GUARDS_NOTHING),
        ("hash", "if stored.startswith('{SHA}'):\n    own = hashlib.sha1(password)", evidence.GUARDS_NOTHING),
        ("hash", "own = md5(user.password + salt)\nvalid = own == token", evidence.GUARDS_NOTHING),
        ("tls", "RootCAs: own.getRoot(),\nInsecureSkipVerify: true,", evidence.BY_CHOICE),
        ("tls", "if Rails.env == 'development'\n  check = VERIFY_NONE", evidence.BY_CHOICE),
        ("jwt", "def is_ours(token):\n    return jwt.decode(token, options=off)", ("high", "low")),
        ("jwt", "def login(token):\n    return jwt.decode(token, options=off)", ("high", "medium")),
        ("redirect", "redirect_to(params[:again] ? new_path : list_path)", ("high", "low")),
        ("redirect", "redirect_to(params[:url])", ("high", "high")),
        ("redirect", "c.Redirect(302, utils.SanitizeURI(c.FormValue(`next`)))", ("high", "low")),
        ("redirect", "c.Redirect(302, c.FormValue(`next`))", ("high", "high")),
        ("redirect", "c.Redirect(302, `/find?q=` + url.QueryEscape(c.FormValue(`q`)))", ("high", "low")),
        ("redirect", "redirect_to(home)", ("high", "low")),
        ("reflection", "kind = params[:kind].classify.constantize", ("high", "low")),
        ("reflection", "kind = params[:kind].constantize", ("high", "high")),
        ("xxe", "function f(req, res) {\n  q = req.query.q\n  read(own)", ("high", "low")),
        ("xxe", "function f(req, res) {\n  q = req.query.q\n  read(q)", ("high", "high")),
        ("deserialize", "file = request.FILES['file']\ndata = yaml.load(file, yaml.Loader)", ("high", "high")),
        ("deserialize", "own = request.COOKIES['own']\ndata = pickle.loads(own)", ("high", "high")),
        ("comparison", "{icon && icon}", ("high", "low")),
        ("sql", 'function f(int $no) {\n  query("SELECT a FROM t WHERE b = " . $no)', ("medium", "low")),
        ("sql", 'q = params[:q]\nscope.where("LOWER(#{t.name}) LIKE ?", "%#{q}%")', ("high", "low")),
        ("xss", "size = location.hash\nbox.innerHTML = '<b>' + name", ("high", "low")),
        ("nosql", "users.find({ name: req.body.name })", evidence.NO_FRAMEWORK),
        ("bug", "x = 1", ("high", "medium")),
        ("debug", "if settings.debug_mode:\n    log('debug')\n    app.run(debug=True)", evidence.BY_CHOICE),
        ("debug", "if __name__ == '__main__':\n    app.run(debug=True)", ("high", "medium")),
        ("debug", "app.run(debug=True)", ("high", "medium")),
        ("unreachable", "    return 1;\n    break;", ("high", "low")),
        ("unreachable", "    return 1\n    save(2)", ("high", "medium")),
        ("sql", "$o = $_GET['o'];\n$q = \"SELECT a FROM t ORDER BY $o LIMIT \" . $n", ("medium", "low")),
        ("sql", "$o = $_GET['o'];\n$q = \"SELECT a FROM t ORDER BY $p LIMIT \" . $o", ("high", "high")),
        ("sql", "a = req.query.a\nq = `SELECT 1 FROM t WHERE b = '${b}' AND a = ${a}`", ("high", "high")),
    ],
)  # fmt: skip
def test_evidence_decides(meaning: str, code: str, expected: object) -> None:
    assert judged(meaning, code) == expected


def test_a_shell_command_from_a_parameter_counts_in_a_project_that_serves_requests() -> None:
    code = "def run(command):\n    os.popen(command)"
    assert judged("shell", code) == ("high", "low")
    assert judged("shell", code, frameworks=frozenset({"web"})) == ("medium", "medium")
    java = 'class A {\n    Text ping(String address) throws IOException {\n        run("ping " + address);'
    assert judged("shell", java, frameworks=frozenset({"web"})) == ("medium", "medium")
    made = "def usage(parameters: str):\n    command = 'df ' + parameters\n\n    os.popen(command)"
    assert judged("shell", made, frameworks=frozenset({"web"})) == ("medium", "medium")
    called = made.replace("+ parameters", "+ find(parameters)")
    assert judged("shell", called, frameworks=frozenset({"web"})) == ("high", "low")
    assert judged("shell", "def stop(pid):\n    os.popen(f'kill {pid}')", frameworks=frozenset({"web"})) == (
        "high",
        "low",
    )


@pytest.mark.parametrize(
    ("meaning", "code", "file", "expected"),
    [
        ("shell", "run(params[:host])", "lib/tool/actions/serve.rb", ("high", "low")),
        ("shell", "run(params[:host])", "app/controllers/hosts_controller.rb", ("high", "high")),
        ("shell", "run(params[:host])\nrequire 'sinatra'", "tool.rb", ("high", "high")),
        ("redirect", "redirect_to(params[:url])", "app/controllers/oauth/grants_controller.rb", ("high", "low")),
        ("random", "token = Math.random()", "client/app/items.js", evidence.GUARDS_NOTHING),
        ("random", "token = Math.random()", "server/items.js", ("high", "high")),
        ("shell", "$name = $this->request->get('name');\nexec($name)", "src/A.php", ("high", "high")),
    ],
)
def test_the_file_decides_whether_a_request_or_a_secret_is_one(
    meaning: str, code: str, file: str, expected: object
) -> None:
    line = 1 if "sinatra" in code else 0
    assert judged(meaning, code, line, file=file) == expected


@pytest.mark.parametrize(
    ("parameter", "file", "confidence"),
    [
        ("host", "app/a.py", "medium"),
        ("option", "app/a.py", "low"),
        ("command", "scripts/a.py", "low"),
    ],
)
def test_a_parameter_that_no_one_asks_for_makes_no_shell_command_doubtful(
    parameter: str, file: str, confidence: str
) -> None:
    code = f"def run({parameter}):\n    os.popen({parameter})"
    found = judged("shell", code, frameworks=frozenset({"web"}), file=file)
    assert isinstance(found, tuple)
    assert found[1] == confidence


def test_a_migration_is_asked_by_nobody_for_a_shell_command() -> None:
    code = "def run(cmd):\n    os.popen(cmd)"
    assert judged("shell", code, frameworks=frozenset({"web"}), file="src/migrations/0029_new.py") == ("high", "low")


def test_a_call_is_read_to_its_end_although_a_tool_names_only_its_first_line() -> None:
    code = "name = request.args['n']\nrun(\n    name,\n)\nother"
    assert judged("shell", code, 2) == ("high", "high")
    assert judged("shell", "name = request.args['n']\nrun(\n    own,\n)\nname", 2) == ("high", "medium")


@pytest.mark.parametrize(
    ("rule", "meaning", "code", "expected"),
    [
        ("getter-return", "bug", "get () {\n  if (a) return 1\n}", "low"),
        ("getter-return", "bug", "get () {\n  log(a)\n}\nreturn 1", "medium"),
        ("rules-of-hooks", "hooks", "useOwn(a)\nlater()", "low"),
    ],
)
def test_idioms_that_only_look_like_mistakes_are_guesses(rule: str, meaning: str, code: str, expected: str) -> None:
    found = judged(meaning, code, 1, rule=rule, frameworks=frozenset({"react"}))
    assert isinstance(found, tuple)
    assert found[1] == expected


def test_a_hook_under_a_condition_counts_where_react_is_imported() -> None:
    code = "import { useState } from 'react'\nif (a) useState(1)"
    found = judged("hooks", code, frameworks=frozenset({"react"}), message="useState is called conditionally")
    assert found == ("high", "medium")


def test_a_rule_of_a_framework_counts_where_the_project_uses_it() -> None:
    code = "users.find({ name: req.body.name })"
    assert judged("nosql", code, frameworks=frozenset({"mongodb"})) == ("high", "high")


@pytest.mark.parametrize(
    "code",
    [
        "    app: Application = request.app",
        "x: 'Application' = 1",
        "Application  # listed",
        "try:\n    Application\nexcept NameError: 0",
    ],
)
def test_a_name_in_an_annotation_or_a_list_is_hardly_undefined(code: str) -> None:
    line = 2 if "\n" in code else 1
    assert judged("undefined", code, line, message="Undefined name `Application`") == ("high", "low")


def test_settings_of_jupyter_get_their_name_from_it() -> None:
    message = "Undefined name `c`"
    assert judged("undefined", "c.App.port = 1", message=message, file="jupyter_server_config.py") == ("high", "low")
    assert judged("undefined", "c.save()", message=message, file="app/a.py") == ("high", "medium")


def test_tests_at_the_end_of_a_module_of_rust_are_none_of_its_code_but_their_secrets_count() -> None:
    code = "#[cfg(test)]\n#[expect(clippy::x)]\nmod tests {\n  let q = format!(\"DELETE FROM t WHERE a = '{}'\", n)"
    assert judged("sql", code, file="src/a.rs") == evidence.BESIDE
    assert judged("sql", code.replace("mod", "fn"), file="src/a.rs") != evidence.BESIDE
    assert judged("secret", code, file="src/a.rs") == ("high", "medium")


def test_a_redirect_that_a_function_allows_is_a_guess() -> None:
    code = "to = request.GET['next']\nif _allow_redirect(to):\n    return redirect(to)"
    assert judged("redirect", code, value="to") == ("high", "low")
    assert judged("redirect", code.replace("_allow_redirect", "bool"), value="to") == ("high", "high")


def test_a_value_that_only_counts_from_a_request_is_left_out_without_one() -> None:
    assert judged("ssrf", "url = request.args['url']\nrequests.get(url)", value="url") == ("high", "high")
    assert judged("ssrf", "url = request.args['url']\nrequests.get(API, data=url)", value="API") == evidence.UNREACHED
    assert judged("ssrf", "<?php\n$p = $params['url'];\nget($p);", value="$p") == evidence.UNREACHED
    assert judged("path", "f = 'a/' + request.args['f']\nopen(f)", value="f") == ("high", "high")


def test_a_name_that_many_files_use_is_defined_by_something_else() -> None:
    hits = [hit("undefined", file=f"{number}.py", message="Undefined name `traits`") for number in range(4)]
    texts = {each.file: ["f(traits)"] for each in hits}
    assert judge_all(hits, texts) == ([], {evidence.EVERYWHERE: 4})
    found, dropped = judge_all(hits[:3], texts)
    assert (len(found), dropped) == (3, {})


def test_another_name_where_something_else_defines_names_is_doubtful() -> None:
    hits = [hit("undefined", file=f"plugins/{number}.py", message="Undefined name `traits`") for number in range(4)]
    files = ("plugins/0.py", "plugins/more.py", "main.py")
    hits += [hit("undefined", file=file, message="Undefined name `other`") for file in files]
    found, _ = judge_all(hits, {each.file: ["f(traits, other)"] for each in hits})
    assert {each.file: each.confidence for each in found} == dict(zip(files, ("low", "low", "medium"), strict=True))


def test_one_file_that_lists_names_says_nothing_about_its_neighbours() -> None:
    names = [f"Undefined name `n{number}`" for number in range(9)]
    hits = [hit("undefined", file="a/lists.py", message=name) for name in names]
    hits.append(hit("undefined", file="a/b.py", message="Undefined name `other`"))
    found, _ = judge_all(hits, {each.file: ["f(other)"] for each in hits})
    assert [(each.file, each.confidence) for each in found] == [("a/b.py", "medium")]


@pytest.mark.parametrize(
    ("meaning", "rule", "code"),
    [
        ("shell", "r", "os.system(x)  # nosec"),
        ("shell", "r", "# nosemgrep\nos.system(x)"),
        ("shell", "S605", "os.system(x)  # noqa: S605"),
        ("shell", "r", "os.system(x)  # noqa"),
        ("eval", "r", "eval(x) // eslint-disable-line no-eval"),
        ("eval", "r", "// eslint-disable-next-line\neval(x)"),
        ("secret", "r", "key = 'x'  # pragma: allowlist secret"),
        ("tls", "r", "InsecureSkipVerify: true, //nolint:gosec"),
        ("sql", "r", "query(text); // NOSONAR"),
        ("path", "r", '@SuppressFBWarnings("PATH_TRAVERSAL_IN")\nFile of(String name) {\n  return new File(name);'),
        ("shell-bug", "SC2086", "# shellcheck disable=SC2086\nrm $x"),
        ("sql", "r", "where(text) # rubocop:disable Rails/SquishedSQLHeredocs"),
        ("comparison", "no-self-compare", "/* eslint-disable */\n\nx === x"),
    ],
)
def test_a_comment_accepts_the_finding_in_any_dialect(meaning: str, rule: str, code: str) -> None:
    assert judged(meaning, code, rule=rule) == evidence.SUPPRESSED


@pytest.mark.parametrize(
    ("meaning", "code"),
    [
        ("shell", "os.system(x)  # noqa: E501"),
        ("eval", "eval(x) // eslint-disable-line no-console"),
        ("shell", "y = 1  # nosec\nos.system(x)"),
        ("eval", "/* eslint-disable */\n\neval(x)"),
    ],
)
def test_a_comment_about_something_else_or_over_a_whole_file_accepts_no_security_finding(
    meaning: str, code: str
) -> None:
    assert judged(meaning, code) != evidence.SUPPRESSED


def test_a_fingerprint_holds_when_lines_above_change_and_tells_equal_lines_apart() -> None:
    one = judge(hit("bug"), ["x  =  1"])
    later = judge(hit("bug", 3), ["", "", "x = 1"])
    assert isinstance(one, Finding)
    assert isinstance(later, Finding)
    assert one.fingerprint == later.fingerprint
    found, _ = judge_all([hit("bug", 1), hit("bug", 2)], {"app/a.py": ["x = 1", "x = 1"]})
    assert len({each.fingerprint for each in found}) == 2


def test_a_secret_is_not_shown() -> None:
    found = judge(hit("secret", redacted=True), ["key = 'value'"])
    assert isinstance(found, Finding)
    assert found.evidence == ""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('"SELECT a FROM t WHERE b = \'" + name + "\'"', Place.QUOTED),
        ('"SELECT a FROM t WHERE b = " + name', Place.VALUE),
        ("`SELECT a FROM t WHERE b LIKE '%${name}%'`", Place.QUOTED),
        ("\"INSERT INTO t (a) VALUES ('{}')\".format(name)", Place.QUOTED),
        ('"SELECT a FROM " + table', Place.NAME),
        ('f"SELECT a FROM t ORDER BY {column}"', Place.NAME),
        ('f"SELECT a FROM t WHERE b = {LIMIT}"', Place.NAME),
        ('"SELECT a FROM t WHERE b = %d" % n', Place.NUMBER),
        ("\"SELECT a FROM t WHERE b = '$name'\"", Place.QUOTED),
        ("\"SELECT '%s' AS a\", name", Place.QUOTED),
        ('"SELECT a FROM t WHERE b = \'" . (int)$b . "\'"', Place.NUMBER),
        ('"SELECT a FROM t WHERE b LIKE ?", "= %#{q}%"', Place.UNKNOWN),
        ("nothing of the kind", Place.UNKNOWN),
    ],
)
def test_a_value_is_told_from_a_name_in_sql(text: str, place: Place) -> None:
    assert placeholder_of(text)[0] is place


@pytest.mark.parametrize(
    ("code", "source"),
    [
        ("const { name } = req.body\nrun(name)", "name comes from the request, line 1"),
        ("n = request.args['n']\nm = n.strip()\nrun(m)", "m comes from the request, line 1"),
        ("@app.route('/<name>')\ndef f(name):\n    run(name)", "name comes from the address of the route, line 1"),
        ("@app.route('/<int:no>')\ndef f(no):\n    run(no)", None),
        (
            "@app.get('/find')\nasync def find(text: str, db: Session):\n    run(text)",
            "text comes from the request, line 2",
        ),
        (
            "@app.get('/find')\nasync def find(\n    text: str,\n):\n    run(text)",
            "text comes from the request, line 2",
        ),
        ("@app.get('/{no}')\ndef find(no: int, own=Depends(own)):\n    run(no, own)", None),
        (
            "@app.get('/{no}')\ndef find(no: int):\n    text = find(no)\n    run(text)",
            "text comes from the address of the route, line 1",
        ),
        ("@app.get('/find')\ndef find(request: Request, db: AsyncSession):\n    run(request, db)", None),
        ("  find(@Query('q') text: string) {\n    run(text)", "text comes from the request, line 1"),
        ("void f(@RequestParam Map<String, String> all) {\n  run(all);", "all comes from the request, line 1"),
        ("void f(@RequestPart MultipartFile file) {\n  run(file);", "file comes from the request, line 1"),
        ("name := r.Header.Get(`n`)\nrun(name)", "name comes from the request, line 1"),
        ("name := c.DefaultQuery(`n`, `a`)\nrun(name)", "name comes from the request, line 1"),
        ("val name = call.parameters[`n`]\nrun(name)", "name comes from the request, line 1"),
        ("$all = $request->getParsedBody();\nrun($all)", "all comes from the request, line 1"),
        ("$name = request()->input('n');\nrun($name)", "name comes from the request, line 1"),
        ("$all = file_get_contents('php://input');\nrun($all)", "all comes from the request, line 1"),
        ("$name = $_SERVER['HTTP_HOST'];\nrun($name)", "name comes from the request, line 1"),
        ("$own = $_SERVER['DOCUMENT_ROOT'];\nrun($own)", None),
        ("var name = Request.RouteValues[`n`];\nrun(name)", "name comes from the request, line 1"),
        ("$name = $_GET['n'];\nrun($name)", "name comes from the request, line 1"),
        ("run(req.query.q)", "a value of the request is part of it"),
        ("name = 'fixed'\nrun(name)", None),
        ("name = request.args['n']\nrun('name')", None),
    ],
)
def test_data_of_a_request_is_followed_to_the_line(code: str, source: str | None) -> None:
    lines = code.split("\n")
    assert source_of(lines, len(lines), lines[-1]) == source


def test_data_of_another_function_is_not_followed() -> None:
    lines = ["def a():", "    name = request.args['n']", "", "def b(name):", "    run(name)"]
    assert source_of(lines, 5, lines[4]) is None
    assert parameter_in(lines, 5, lines[4]) == "name"


def test_words_in_texts_are_no_code() -> None:
    assert code_words("""f("a b" + c, 'd', `e ${g}`, "h\\" i")""") == {"f", "c", "g"}


CODE = st.text(alphabet=st.sampled_from("ab'\"`{}$%#()=+, \n<>./\\:@"), max_size=200)


@given(code=CODE, meaning=st.sampled_from(sorted(MEANINGS)), line=st.integers(1, 9), end=st.integers(0, 12))
def test_any_code_is_judged(code: str, meaning: str, line: int, end: int) -> None:
    found = judge(hit(meaning, line, end=end), code.split("\n"), frozenset({"web", "react", "mongodb"}))
    assert isinstance(found, (Finding, str))


@given(code=CODE, meaning=st.sampled_from(sorted(MEANINGS)))
def test_a_comment_beside_the_code_always_holds(code: str, meaning: str) -> None:
    line = code.replace("\n", " ") + "  # nosec"
    assert is_suppressed(hit(meaning), [line])


def test_security_is_known_by_its_kind() -> None:
    assert {"injection", "secret", "tls", "access", "crypto"} == SECURITY
