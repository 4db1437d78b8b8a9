"""Our rules for C#, Rust and Kotlin.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.rules.form import SQL, Rule, both, has, kind, part, patterns

_SHARP = ("CSharp",)
_RUST = ("Rust",)
_KOTLIN = ("Kotlin",)
_JOINED = {
    "any": [
        both(kind("interpolated_string_expression"), has(kind("interpolation"))),
        both(kind("binary_expression", r"\+"), has(kind("identifier"))),
    ]
}


def _class(body: str) -> str:
    return f"class A {{ void F() {{ {body} }} }}\n"


RULES = (
    Rule(
        id="cs-sql",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_SHARP,
        matcher={
            "any": [
                both(kind("object_creation_expression", r"^new\s+\w*Command\("), has({**_JOINED, "regex": SQL})),
                both(
                    kind(
                        "invocation_expression",
                        r"\.(FromSqlRaw|ExecuteSqlRaw|Execute|Query|QueryAsync|ExecuteAsync|SqlQuery)(<[^(]*>)?\(",
                    ),
                    has({**_JOINED, "regex": SQL}),
                ),
                both(kind("assignment_expression"), part("right", {**_JOINED, "regex": SQL})),
                both(kind("variable_declarator"), {"has": {**_JOINED, "regex": SQL}}),
            ]
        },
        bad=_class('var c = new SqlCommand("SELECT * FROM users WHERE name = \'" + name + "\'");'),
        good=_class('var c = new SqlCommand("SELECT * FROM users WHERE name = @name");'),
    ),
    Rule(
        id="cs-program",
        meaning="program",
        severity="high",
        confidence="low",
        languages=_SHARP,
        matcher=both(
            kind("invocation_expression", r"^(System\.Diagnostics\.)?Process\.Start\("),
            part("arguments", {"has": {"kind": "argument", "has": {"any": [kind("identifier"), *_JOINED["any"]]}}}),
        ),
        bad=_class("Process.Start(command);"),
        good=_class('Process.Start("notepad.exe");'),
    ),
    Rule(
        id="cs-deserialize",
        meaning="deserialize",
        severity="high",
        confidence="medium",
        languages=_SHARP,
        matcher={
            "any": [
                patterns(
                    "new BinaryFormatter()",
                    "new NetDataContractSerializer()",
                    "new LosFormatter()",
                    "new SoapFormatter()",
                ),
                kind("assignment_expression", r"TypeNameHandling\s*=\s*TypeNameHandling\.(All|Auto|Objects)$"),
            ]
        },
        bad=_class("var o = new BinaryFormatter().Deserialize(stream);"),
        good=_class("var o = JsonSerializer.Deserialize<Order>(stream);"),
    ),
    Rule(
        id="cs-tls",
        meaning="tls",
        severity="high",
        confidence="high",
        languages=_SHARP,
        matcher={
            "any": [
                kind(
                    "assignment_expression",
                    r"ServerCertificate(Custom)?ValidationCallback\s*\+?=\s*(\([^)]*\)|delegate[^{]*)\s*"
                    r"(=>\s*true|\{\s*return true;\s*\})$",
                ),
                kind("member_access_expression", r"DangerousAcceptAnyServerCertificateValidator$"),
            ]
        },
        bad=_class("handler.ServerCertificateCustomValidationCallback = (a, b, c, d) => true;"),
        good=_class("handler.CheckCertificateRevocationList = true;"),
    ),
    Rule(
        id="cs-html",
        meaning="xss",
        severity="high",
        confidence="medium",
        languages=_SHARP,
        matcher=both(
            kind("invocation_expression", r"^(Html\.Raw|Response\.Write)\("), {"regex": r"Request(\.|\[)|\bquery\b"}
        ),
        bad=_class('Response.Write("<p>" + Request.QueryString["name"]);'),
        good=_class('Response.Write("<p>ready");'),
    ),
    Rule(
        id="cs-redirect",
        meaning="redirect",
        severity="medium",
        confidence="medium",
        languages=_SHARP,
        matcher=kind("invocation_expression", r"^(Response\.)?Redirect\(\s*(Request(\.|\[)|returnUrl\b)"),
        bad=_class('Response.Redirect(Request.QueryString["url"]);'),
        good=_class('Response.Redirect("/home");'),
    ),
    Rule(
        id="cs-hash",
        meaning="hash",
        severity="high",
        confidence="low",
        languages=_SHARP,
        matcher=patterns(
            "MD5.Create()", "SHA1.Create()", "new MD5CryptoServiceProvider()", "new SHA1Managed()", "MD5.HashData($$$)"
        ),
        bad=_class("var hash = MD5.HashData(password);"),
        good=_class("var hash = Rfc2898DeriveBytes.Pbkdf2(password, salt, 100000, HashAlgorithmName.SHA256, 32);"),
    ),
    Rule(
        id="rust-sql",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_RUST,
        matcher=kind(
            "macro_invocation",
            r"(?is)^format!\(\s*r?#*\"\s*(select\b[^\"]+\bfrom|insert\s+into|update\b[^\"]+\bset|delete\s+from)\b[^\"]*\{",
        ),
        bad="fn f() { let q = format!(\"SELECT * FROM users WHERE name = '{}'\", name); }\n",
        good='fn f() { let q = "SELECT * FROM users WHERE name = $1"; }\n',
    ),
    Rule(
        id="rust-shell",
        meaning="shell",
        severity="high",
        confidence="medium",
        languages=_RUST,
        matcher=both(
            kind(
                "call_expression",
                r'(?s)Command::new\(\s*"(/bin/)?(ba|z)?sh"\s*\)\s*\.arg\(\s*"-c"\s*\)\s*\.arg\(\s*&?\s*(format!|[a-z_]+\b)[^;]*\)$',
            ),
            part("function", {"regex": r"\.arg$"}),
        ),
        bad='fn f() { Command::new("sh").arg("-c").arg(format!("ping {}", host)); }\n',
        good='fn f() { Command::new("ping").arg(host); }\n',
    ),
    Rule(
        id="rust-tls",
        meaning="tls",
        severity="high",
        confidence="high",
        languages=_RUST,
        matcher=both(
            kind("call_expression", r"\.danger_accept_invalid_(certs|hostnames)\(\s*true\s*\)$"),
            part("function", {"regex": r"danger_accept_invalid_\w+$"}),
        ),
        bad="fn f() { let c = Client::builder().danger_accept_invalid_certs(true); }\n",
        good="fn f() { let c = Client::builder().add_root_certificate(root); }\n",
    ),
    Rule(
        id="kotlin-sql",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_KOTLIN,
        matcher=both(
            kind("call_expression", r"\.?(rawQuery|execSQL|executeQuery|createNativeQuery|prepareStatement)\("),
            {"regex": SQL},
            has(
                {
                    "any": [
                        both(
                            kind("string_literal"),
                            has({"any": [kind("interpolated_identifier"), kind("interpolated_expression")]}),
                        ),
                        both(kind("additive_expression"), has(kind("simple_identifier"))),
                    ]
                }
            ),
        ),
        bad="fun f() { db.rawQuery(\"SELECT * FROM users WHERE name = '$name'\", null) }\n",
        good='fun f() { db.rawQuery("SELECT * FROM users WHERE name = ?", arrayOf(name)) }\n',
    ),
)
