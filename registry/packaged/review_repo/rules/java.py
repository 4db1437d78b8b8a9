"""Our rules for Java.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.rules.form import SQL, Rule, both, has, inside, kind, no, part, patterns

_JAVA = ("Java",)
_JOINED = both(kind("binary_expression", r"\+"), has({"any": [kind("identifier"), kind("method_invocation")]}))
_SQL_METHODS = (
    r"^(executeQuery|executeUpdate|execute|addBatch|prepareStatement|prepareCall|createQuery|createNativeQuery"
    r"|queryForObject|queryForList|query|update)$"
)
_REQUEST = r"\.(getParameter|getHeader|getQueryString|getCookies)\("
_NO_ENTITIES = (
    r"disallow-doctype-decl|SUPPORT_DTD|FEATURE_SECURE_PROCESSING|external-general-entities|ACCESS_EXTERNAL_DTD"
    r"|setExpandEntityReferences\(false"
)
_FIXED = {"any": [kind("string_literal"), kind("array_initializer")]}


def _in_method(body: str) -> str:
    return f"class A {{ void f() throws Exception {{ {body} }} }}\n"


RULES = (
    Rule(
        id="java-sql",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_JAVA,
        matcher=both(
            kind("method_invocation", SQL),
            part("name", {"regex": _SQL_METHODS}),
            {"has": {"field": "arguments", "has": _JOINED}},
        ),
        bad=_in_method('statement.executeQuery("SELECT * FROM users WHERE name = \'" + name + "\'");'),
        good=_in_method('connection.prepareStatement("SELECT * FROM users WHERE name = ?");'),
    ),
    Rule(
        id="java-sql-text",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_JAVA,
        matcher={
            "any": [
                both(kind("variable_declarator"), part("value", {**_JOINED, "regex": SQL})),
                both(kind("assignment_expression"), part("right", {**_JOINED, "regex": SQL})),
            ]
        },
        bad=_in_method('String query = "SELECT * FROM users WHERE name = \'" + name + "\'";'),
        good=_in_method('String query = "SELECT * FROM users WHERE name = ?";'),
    ),
    Rule(
        id="java-program",
        meaning="program",
        severity="high",
        confidence="medium",
        languages=_JAVA,
        matcher=patterns("Runtime.getRuntime().exec($X)", "$R.exec($X)", "new ProcessBuilder($X)"),
        constraints={"X": {"all": [no(_FIXED), no(kind("array_creation_expression")), no(kind("lambda_expression"))]}},
        bad=_in_method("Runtime.getRuntime().exec(command);"),
        good=_in_method('Runtime.getRuntime().exec("uptime");'),
    ),
    Rule(
        id="java-shell",
        meaning="shell",
        severity="high",
        confidence="medium",
        languages=_JAVA,
        matcher={
            "any": [
                both(
                    kind("method_invocation", r'(?s)\("(/bin/)?(ba)?sh",\s*"-c",\s*[^"]'),
                    part("name", {"regex": "^(command|of|asList)$"}),
                ),
                both(kind("array_initializer", r'(?s)^\{\s*"(/bin/)?(ba)?sh",\s*"-c",\s*("[^"]*"\s*\+|[a-zA-Z_])')),
                both(
                    kind(
                        "object_creation_expression",
                        r'(?s)^new ProcessBuilder\(\s*"(/bin/)?(ba)?sh",\s*"-c",\s*("[^"]*"\s*\+|[a-zA-Z_])',
                    )
                ),
            ]
        },
        bad=_in_method('new ProcessBuilder("sh", "-c", "ping " + host).start();'),
        good=_in_method('new ProcessBuilder("ping", host).start();'),
    ),
    Rule(
        id="java-deserialize",
        meaning="deserialize",
        severity="high",
        confidence="medium",
        languages=_JAVA,
        matcher={
            "any": [
                both(
                    patterns("$X.readObject()", "$X.readUnshared()"),
                    no(inside(kind("method_declaration", r"(?s)^private\s+void\s+readObject\("))),
                ),
                patterns("new XMLDecoder($$$)", "$X.fromXML($$$)"),
            ]
        },
        bad=_in_method("Object o = new ObjectInputStream(in).readObject();"),
        good=_in_method("Order o = mapper.readValue(in, Order.class);"),
    ),
    Rule(
        id="java-xml",
        meaning="xxe",
        severity="high",
        confidence="medium",
        languages=_JAVA,
        matcher={
            **patterns(
                "DocumentBuilderFactory.newInstance()",
                "SAXParserFactory.newInstance()",
                "XMLInputFactory.newInstance()",
                "XMLInputFactory.newFactory()",
                "XMLReaderFactory.createXMLReader()",
                "new SAXBuilder()",
                "new SAXReader()",
            ),
            "not": {
                "inside": {
                    "any": [kind("method_declaration", _NO_ENTITIES), kind("class_body", _NO_ENTITIES)],
                    "stopBy": "end",
                }
            },
        },
        bad=_in_method("DocumentBuilderFactory f = DocumentBuilderFactory.newInstance();"),
        good=_in_method('var f = DocumentBuilderFactory.newInstance(); f.setFeature("disallow-doctype-decl", true);'),
    ),
    Rule(
        id="java-eval",
        meaning="eval",
        severity="high",
        confidence="medium",
        languages=_JAVA,
        matcher={
            "any": [
                both(
                    kind("method_invocation"),
                    part("name", {"regex": "^parseExpression$"}),
                    {"has": {"field": "arguments", "not": {"regex": r'^\(\s*"'}}},
                ),
                patterns("Velocity.evaluate($$$)"),
                both(patterns("$E.eval($X)"), no(has(kind("string_literal")))),
            ]
        },
        bad=_in_method("parser.parseExpression(text).getValue();"),
        good=_in_method('parser.parseExpression("1 + 1").getValue();'),
    ),
    Rule(
        id="java-hash",
        meaning="hash",
        severity="high",
        confidence="low",
        languages=_JAVA,
        matcher={
            "any": [
                both(patterns("MessageDigest.getInstance($X)"), kind("method_invocation", r'(?i)"(md5|sha-?1)"')),
                patterns(
                    "DigestUtils.md5Hex($$$)",
                    "DigestUtils.sha1Hex($$$)",
                    "DigestUtils.md5DigestAsHex($$$)",
                    "Hashing.md5()",
                ),
            ]
        },
        bad=_in_method("String stored = DigestUtils.md5Hex(password);"),
        good=_in_method("String stored = encoder.encode(password);"),
    ),
    Rule(
        id="java-cipher",
        meaning="cipher",
        severity="medium",
        confidence="medium",
        languages=_JAVA,
        matcher=both(
            patterns("Cipher.getInstance($$$)"),
            kind("method_invocation", r'"(DES|DESede|RC4|RC2|Blowfish|AES|AES/ECB/[^"]*)"'),
        ),
        bad=_in_method('Cipher c = Cipher.getInstance("AES/ECB/PKCS5Padding");'),
        good=_in_method('Cipher c = Cipher.getInstance("AES/GCM/NoPadding");'),
    ),
    Rule(
        id="java-random",
        meaning="random",
        severity="high",
        confidence="low",
        languages=_JAVA,
        matcher=patterns("new Random()", "new Random($$$)", "Math.random()"),
        bad=_in_method("int token = new Random().nextInt();"),
        good=_in_method("int token = new SecureRandom().nextInt();"),
    ),
    Rule(
        id="java-tls",
        meaning="tls",
        severity="high",
        confidence="low",
        languages=_JAVA,
        matcher={
            "any": [
                both(
                    kind("method_declaration"),
                    part("name", {"regex": "^checkServerTrusted$"}),
                    part("body", {"regex": r"^\{\s*(//[^\n]*\s*)*\}$"}),
                ),
                {
                    "any": [
                        kind("identifier", "^(ALLOW_ALL_HOSTNAME_VERIFIER|NoopHostnameVerifier)$"),
                        kind("type_identifier", "^(TrustAllStrategy|AllowAllHostnameVerifier)$"),
                    ],
                    "not": inside(kind("import_declaration")),
                },
            ]
        },
        bad="class A implements X509TrustManager { void checkServerTrusted(Chain c, String t) {} }\n",
        good="class A implements X509TrustManager { void checkServerTrusted(Chain c, String t) { all.check(c); } }\n",
    ),
    Rule(
        id="java-redirect",
        meaning="redirect",
        severity="medium",
        confidence="medium",
        languages=_JAVA,
        matcher={
            "any": [
                both(patterns("$R.sendRedirect($X)"), kind("method_invocation", _REQUEST)),
                both(
                    kind("return_statement", r'(?s)^return\s+"redirect:"\s*\+\s*[a-zA-Z_]'),
                    inside(kind("method_declaration", "@RequestParam|@PathVariable")),
                ),
            ]
        },
        bad=_in_method('response.sendRedirect(request.getParameter("next"));'),
        good=_in_method('response.sendRedirect("/home");'),
    ),
    Rule(
        id="java-ssrf",
        meaning="ssrf",
        severity="high",
        confidence="low",
        languages=_JAVA,
        matcher=patterns(
            "new URL($X).openStream()",
            "new URL($X).openConnection()",
            "Jsoup.connect($X)",
            "Request.Get($X)",
            "new HttpGet($X)",
        ),
        constraints={"X": {"any": [kind("identifier"), _JOINED]}},
        bad=_in_method("InputStream in = new URL(address).openStream();"),
        good=_in_method('InputStream in = new URL("https://example.org/").openStream();'),
    ),
    Rule(
        id="java-path",
        meaning="path",
        severity="high",
        confidence="low",
        languages=_JAVA,
        matcher=patterns(
            "new File($X)",
            "new File($P, $X)",
            "new FileInputStream($X)",
            "Paths.get($X)",
            "Paths.get($P, $X)",
            "Path.of($P, $X)",
        ),
        constraints={"X": {"any": [both(kind("binary_expression"), has(kind("identifier"))), {"regex": _REQUEST}]}},
        bad=_in_method('File f = new File(base + request.getParameter("name"));'),
        good=_in_method('File f = new File("list.txt");'),
    ),
    Rule(
        id="java-html",
        meaning="xss",
        severity="high",
        confidence="medium",
        languages=_JAVA,
        matcher=both(kind("method_invocation", r"getWriter\(\)\.(print|println|write|append)\("), {"regex": _REQUEST}),
        bad=_in_method('response.getWriter().print("<p>" + request.getParameter("name"));'),
        good=_in_method('response.getWriter().print("<p>ready");'),
    ),
    Rule(
        id="java-csrf",
        meaning="csrf",
        severity="medium",
        confidence="low",
        languages=_JAVA,
        matcher={
            "any": [
                patterns(
                    "$H.csrf().disable()",
                    "$H.csrf(AbstractHttpConfigurer::disable)",
                    "$H.csrf(CsrfConfigurer::disable)",
                ),
                kind("method_invocation", r"\.csrf\(\s*\(?(\w+)\)?\s*->\s*\w+\.disable\(\)\s*\)$"),
            ]
        },
        bad=_in_method("http.csrf().disable();"),
        good=_in_method("http.csrf(Customizer.withDefaults());"),
    ),
)
