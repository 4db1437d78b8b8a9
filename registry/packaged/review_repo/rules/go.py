"""Our rules for Go.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.rules.form import ADDRESS, SQL, Matcher, Rule, both, has, kind, no

_GO = ("Go",)
_FIXED = {"any": [kind("interpreted_string_literal"), kind("raw_string_literal")]}
_BUILT = {
    "any": [
        kind("call_expression", r"^fmt\.Sprintf\("),
        both(kind("binary_expression", r"\+"), has(kind("identifier"))),
    ]
}
_REQUEST = (
    r"\.(FormValue|PostFormValue|URL\.Query\(\)|URL\.Path|Header\.Get)|\bc\.(Query|Param|PostForm)\("
    r"|mux\.Vars|chi\.URLParam"
)


def _invoked(*texts: str) -> Matcher:
    """Any of these calls; outside of a function a call reads like a conversion."""
    return {"any": [{"pattern": {"context": f"func f() {{ {text} }}", "selector": _node(text)}} for text in texts]}


def _node(text: str) -> str:
    return "call_expression" if text.endswith(")") else "selector_expression"


def _queries(*names: str, context: str = "") -> list[str]:
    return [f"$D.{name}({context}$X{rest})" for name in names for rest in ("", ", $$$")]


RULES = (
    Rule(
        id="go-sql",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_GO,
        matcher={
            "all": [
                {
                    "any": [
                        _invoked(*_queries("Query", "QueryRow", "Exec", "Raw", "Prepare")),
                        _invoked(*_queries("QueryContext", "QueryRowContext", "ExecContext", context="$C, ")),
                    ]
                },
                {"regex": SQL},
            ]
        },
        constraints={"X": _BUILT},
        bad='package a\nfunc f() { db.Query("SELECT * FROM users WHERE name = \'" + name + "\'") }\n',
        good='package a\nfunc f() { db.Query("SELECT * FROM users WHERE name = ?", name) }\n',
    ),
    Rule(
        id="go-sql-text",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_GO,
        matcher={
            "any": [
                kind(
                    "call_expression",
                    r"(?is)^fmt\.Sprintf\(\s*[`\"]\s*(select\s.+\sfrom|select\s+'%|insert\s+into|update\s.+\sset|delete\s+from)\b[^`]*%[svq]",
                ),
                both(
                    kind("short_var_declaration"),
                    {
                        "has": {
                            "field": "right",
                            "has": {"kind": "binary_expression", "regex": SQL, **has(kind("identifier"))},
                        }
                    },
                ),
            ]
        },
        bad="package a\nfunc f() { q := fmt.Sprintf(\"SELECT * FROM users WHERE name = '%s'\", name); _ = q }\n",
        good='package a\nfunc f() { q := "SELECT * FROM users WHERE name = ?"; _ = q }\n',
    ),
    Rule(
        id="go-shell",
        meaning="shell",
        severity="high",
        confidence="medium",
        languages=_GO,
        matcher=_invoked(
            *(
                f'exec.{call}"{shell}", "-c", $X)'
                for call in ("Command(", "CommandContext($C, ")
                for shell in ("sh", "bash", "/bin/sh", "/bin/bash")
            )
        ),
        constraints={"X": no(_FIXED)},
        bad='package a\nfunc f() { exec.Command("sh", "-c", "ping "+host) }\n',
        good='package a\nfunc f() { exec.Command("ping", host) }\n',
    ),
    Rule(
        id="go-tls",
        meaning="tls",
        severity="high",
        confidence="low",  # nearly always an option, or a protocol with a check of its own
        languages=_GO,
        matcher=kind("keyed_element", r"^InsecureSkipVerify:\s*true$"),
        bad="package a\nvar c = &tls.Config{InsecureSkipVerify: true}\n",
        good="package a\nvar c = &tls.Config{RootCAs: pool}\n",
    ),
    Rule(
        id="go-hash",
        meaning="hash",
        severity="high",
        confidence="low",
        languages=_GO,
        matcher=_invoked("md5.New()", "md5.Sum($X)", "sha1.New()", "sha1.Sum($X)"),
        bad="package a\nfunc f() { password = md5.Sum([]byte(password)) }\n",
        good="package a\nfunc f() { hash, _ := bcrypt.GenerateFromPassword(password, 12); _ = hash }\n",
    ),
    Rule(
        id="go-random",
        meaning="random",
        severity="high",
        confidence="low",
        languages=_GO,
        matcher=_invoked("rand.Intn($X)", "rand.Int63()", "rand.Int()", "rand.Int31n($X)"),
        bad="package a\nfunc token() int { return rand.Intn(1000000) }\n",
        good="package a\nfunc token() []byte { b := make([]byte, 16); cryptorand.Read(b); return b }\n",
    ),
    Rule(
        id="go-html",
        meaning="xss",
        severity="high",
        confidence="medium",
        languages=_GO,
        matcher=_invoked("template.HTML($X)", "template.JS($X)", "template.URL($X)", "template.HTMLAttr($X)"),
        constraints={"X": no(_FIXED)},
        bad="package a\nfunc f() { t := template.HTML(comment); _ = t }\n",
        good='package a\nfunc f() { t := template.HTML("<br>"); _ = t }\n',
    ),
    Rule(
        id="go-html-answer",
        meaning="xss",
        severity="high",
        confidence="medium",
        languages=_GO,
        matcher={
            "all": [
                _invoked(
                    "fmt.Fprintf($W, $$$)", "fmt.Fprint($W, $$$)", "fmt.Fprintln($W, $$$)", "$W.Write([]byte($$$))"
                ),
                {"regex": _REQUEST},
            ]
        },
        bad='package a\nfunc f() { fmt.Fprintf(w, "<p>%s</p>", r.FormValue("name")) }\n',
        good="package a\nfunc f() { page.Execute(w, name) }\n",
    ),
    Rule(
        id="go-jwt",
        meaning="jwt",
        severity="high",
        confidence="medium",
        languages=_GO,
        matcher=_invoked("$P.ParseUnverified($$$)", "jwt.UnsafeAllowNoneSignatureType"),
        bad="package a\nfunc f() { parser.ParseUnverified(token, claims) }\n",
        good="package a\nfunc f() { parser.ParseWithClaims(token, claims, key) }\n",
    ),
    Rule(
        id="go-redirect",
        meaning="redirect",
        severity="medium",
        confidence="medium",
        languages=_GO,
        matcher=_invoked("http.Redirect($W, $R, $X, $S)", "$C.Redirect($S, $X)", "$C.Redirect($X)"),
        constraints={
            "X": {
                "any": [
                    kind("identifier", ADDRESS),
                    {"regex": r"\.(FormValue|PostFormValue)\(|\.Query\(\)\.Get\(|\bc\.Query\("},
                ]
            }
        },
        traced=True,
        bad='package a\nfunc f() { http.Redirect(w, r, r.FormValue("next"), 302) }\n',
        good='package a\nfunc f() { http.Redirect(w, r, "/home", 302) }\n',
    ),
    Rule(
        id="go-path",
        meaning="path",
        severity="high",
        confidence="medium",
        languages=_GO,
        matcher=_invoked(
            *("os.Open($X)", "os.ReadFile($X)", "ioutil.ReadFile($X)", "http.ServeFile($W, $R, $X)"),
            *("os.Remove($X)", "os.Create($X)", "$C.File($X)", "$C.SendFile($X)"),
        ),
        constraints={"X": no(_FIXED)},
        traced=True,
        bad='package a\nfunc f() { os.ReadFile("data/" + r.FormValue("name")) }\n',
        good='package a\nfunc f() { os.ReadFile("data/list") }\n',
    ),
    Rule(
        id="go-ssrf",
        meaning="ssrf",
        severity="high",
        confidence="medium",
        languages=_GO,
        matcher=_invoked(
            "http.Get($X)", "http.Head($X)", "http.Post($X, $$$)", "client.Get($X)", "http.NewRequest($M, $X, $B)"
        ),
        constraints={"X": no(_FIXED)},
        traced=True,
        bad='package a\nfunc f() { http.Get(r.FormValue("url")) }\n',
        good='package a\nfunc f() { http.Get("https://example.org") }\n',
    ),
)
