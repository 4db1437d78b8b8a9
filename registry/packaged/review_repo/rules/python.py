"""Our rules for Python, beside ruff's.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.rules.form import ADDRESS, SQL, Rule, both, has, kind, no, patterns

_PYTHON = ("Python",)
_FIXED = {"any": [both(kind("string"), no(has(kind("interpolation")))), kind("integer")]}
_BUILT = {
    "any": [
        both(kind("string"), has(kind("interpolation"))),
        both(
            kind("binary_operator"),
            has({"any": [kind("identifier"), kind("attribute"), kind("call"), kind("subscript")]}),
        ),
        kind("call", r"\.format\("),
    ]
}
_KEYS = r"(SECRET_KEY|JWT_SECRET_KEY|SECURITY_PASSWORD_SALT|WTF_CSRF_SECRET_KEY|secret_key)['\"]?\]?$"
_NOT_TRY = r"(?i)^[rbu]*['\"].*(change|replace|your|example|todo|<|secret-?key|dev\b|test)|^[rbu]*['\"].{0,5}['\"]$"

RULES = (
    Rule(
        id="py-sql",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher=both(
            patterns(
                "$C.execute($X)",
                "$C.execute($X, $$$)",
                "$C.executemany($X, $$$)",
                "$C.executescript($X)",
                "$C.raw($X)",
                "$C.raw($X, $$$)",
                "$F.text($X)",
                "text($X)",
            ),
            kind("call", SQL),
        ),
        constraints={"X": _BUILT},
        bad="cursor.execute(\"SELECT * FROM users WHERE name = '%s'\" % name)\n",
        good='cursor.execute("SELECT * FROM users WHERE name = %s", (name,))\n',
    ),
    Rule(
        id="py-sql-text",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher=both(
            kind("assignment"),
            {
                "has": {
                    "field": "right",
                    "regex": SQL,
                    "any": [*_BUILT["any"], both(kind("parenthesized_expression"), {"has": _BUILT})],
                }
            },
        ),
        bad='query = "SELECT * FROM users WHERE name = \'" + name + "\'"\n',
        good='query = "SELECT * FROM users WHERE name = %s"\n',
    ),
    Rule(
        id="py-template",
        meaning="template",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher=patterns(
            "render_template_string($X)",
            "render_template_string($X, $$$)",
            "Template($X).render($$$)",
            "$E.from_string($X).render($$$)",
        ),
        constraints={"X": no(_FIXED)},
        bad='render_template_string("<p>" + name)\n',
        good='render_template_string("<p>{{ name }}", name=name)\n',
    ),
    Rule(
        id="py-shell",
        meaning="shell",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher=patterns(
            "os.system($X)",
            "os.popen($X)",
            "subprocess.$F($X, $$$, shell=True, $$$)",
            "subprocess.getoutput($X)",
            "subprocess.getstatusoutput($X)",
            "commands.getoutput($X)",
        ),
        constraints={"X": no(_FIXED)},
        bad='os.system("ping " + host)\n',
        good='subprocess.run(["ping", host], check=True)\n',
    ),
    Rule(
        id="py-jwt",
        meaning="jwt",
        severity="high",
        confidence="high",
        languages=_PYTHON,
        matcher=both(
            patterns("jwt.decode($$$)"), kind("call", r"verify_signature['\"]?\s*[:=]\s*False|verify\s*=\s*False")
        ),
        bad='jwt.decode(token, options={"verify_signature": False})\n',
        good='jwt.decode(token, key, algorithms=["HS256"])\n',
    ),
    Rule(
        id="py-signing-key",
        meaning="signing-key",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher={
            "any": [
                both(
                    kind("assignment"),
                    {"has": {"field": "left", "regex": _KEYS}},
                    {"has": {"field": "right", "kind": "string"}},
                ),
            ],
            "not": {"has": {"field": "right", "regex": _NOT_TRY}},
        },
        bad='app.config["SECRET_KEY"] = "9f0c2ab7714d"\n',
        good='app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]\n',
    ),
    Rule(
        id="py-debug",
        meaning="debug",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher=both(
            patterns("$A.run($$$)"), kind("call", r"debug\s*=\s*True"), kind("call", r"host\s*=\s*['\"]0\.0\.0\.0")
        ),
        bad='app.run(host="0.0.0.0", debug=True)\n',
        good='app.run(host="0.0.0.0", debug=settings.debug)\n',
    ),
    Rule(
        id="py-path",
        meaning="path",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher=patterns(
            "open($X)",
            "open($X, $$$)",
            "send_file($X)",
            "send_file($X, $$$)",
            "FileResponse($X)",
            "FileResponse($X, $$$)",
            "web.FileResponse($X)",
            "$X.read_text($$$)",
            "$X.read_bytes($$$)",
            "os.remove($X)",
            "os.unlink($X)",
        ),
        constraints={"X": no(_FIXED)},
        traced=True,
        bad='open("/data/" + request.args["name"])\n',
        good='send_from_directory("/data", request.args["name"])\n',
    ),
    Rule(
        id="py-ssrf",
        meaning="ssrf",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher=patterns(
            "requests.$F($X)",
            "requests.$F($X, $$$)",
            "httpx.$F($X)",
            "httpx.$F($X, $$$)",
            "urllib.request.urlopen($X)",
            "urlopen($X)",
            "urlopen($X, $$$)",
        ),
        traced=True,
        constraints={"X": no(_FIXED), "F": {"regex": "^(get|post|put|delete|patch|head|request|stream)$"}},
        bad='requests.get(request.args["url"], timeout=5)\n',
        good='requests.get("https://example.org", params={"q": request.args["q"]}, timeout=5)\n',
    ),
    Rule(
        id="py-redirect",
        meaning="redirect",
        severity="medium",
        confidence="medium",
        languages=_PYTHON,
        matcher=patterns(
            "redirect($X)",
            "redirect($X, $$$)",
            "$H.redirect($X)",
            "HttpResponseRedirect($X)",
            "RedirectResponse($X)",
            "RedirectResponse($X, $$$)",
        ),
        constraints={
            "X": {"any": [kind("identifier", ADDRESS), {"regex": r"^(self\.|flask\.)?(get_argument|request\b)"}]}
        },
        traced=True,
        bad='redirect(request.args["next"])\n',
        good='redirect(url_for("index"))\n',
    ),
    Rule(
        id="py-xss",
        meaning="xss",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher=patterns(
            "HttpResponse($X)", "HttpResponse($X, $$$)", "make_response($X)", "Markup($X)", "mark_safe($X)"
        ),
        constraints={"X": {**_BUILT, "regex": r"<\w+"}},
        bad='HttpResponse("<h1>" + name + "</h1>")\n',
        good='render(request, "hello.html", {"name": name})\n',
    ),
    Rule(
        id="py-xml",
        meaning="xxe",
        severity="high",
        confidence="medium",
        languages=_PYTHON,
        matcher={
            "any": [
                both(
                    patterns("$X.XMLParser($$$)", "XMLParser($$$)"),
                    kind("call", r"resolve_entities\s*=\s*True|no_network\s*=\s*False"),
                ),
                both(
                    patterns(
                        "$P.setFeature(feature_external_ges, True)", "$P.setFeature($M.feature_external_ges, True)"
                    )
                ),
            ]
        },
        bad="etree.XMLParser(resolve_entities=True)\n",
        good="etree.XMLParser(resolve_entities=False)\n",
    ),
    Rule(
        id="py-hash",
        meaning="hash",
        severity="high",
        confidence="low",
        languages=_PYTHON,
        matcher=patterns("hashlib.md5($$$)", "hashlib.sha1($$$)", "md5($$$)", "$P.md5($$$)"),
        bad="stored = hashlib.md5(password.encode()).hexdigest()\n",
        good="stored = hashlib.scrypt(password, salt=salt, n=2**14, r=8, p=1)\n",
    ),
)
