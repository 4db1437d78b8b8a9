"""Our rules for JavaScript and TypeScript, beside oxlint's.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.rules.form import (
    ADDRESS,
    SQL,
    Rule,
    both,
    has,
    inside,
    kind,
    no,
    part,
    patterns,
)

_ALL = ("JavaScript", "TypeScript", "Tsx")
_NAMES = {"any": [kind("identifier"), kind("member_expression"), kind("call_expression"), kind("subscript_expression")]}
_BUILT = {
    "any": [
        both(kind("template_string"), {"has": {"kind": "template_substitution"}}),
        both(kind("binary_expression", r"\+"), has(_NAMES)),
    ]
}
_FIXED = {
    "any": [
        kind("string"),
        kind("number"),
        kind("arrow_function"),
        kind("function_expression"),
        both(kind("template_string"), no({"has": {"kind": "template_substitution"}})),
    ]
}

_SHELL = patterns(
    "exec($X)",
    "exec($X, $$$)",
    "execSync($X)",
    "execSync($X, $$$)",
    "$C.execSync($X)",
    "$C.execSync($X, $$$)",
    "child_process.exec($X)",
    "child_process.exec($X, $$$)",
    "cp.exec($X, $$$)",
    "execAsync($X)",
    "execAsync($X, $$$)",
    "execPromise($X)",
    "execPromise($X, $$$)",
)
"""Calls whose first argument a shell reads."""

RULES = (
    Rule(
        id="js-eval",
        meaning="eval",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=patterns(
            "eval($X)",
            "new Function($X)",
            "new Function($$$A, $X)",
            "vm.runInThisContext($X)",
            "vm.runInNewContext($X, $$$)",
            "$S.eval($X)",
        ),
        constraints={"X": no(_FIXED)},
        bad="const rate = eval(req.body.rate)\n",
        good="const rate = Number(req.body.rate)\n",
    ),
    Rule(
        id="js-shell",
        meaning="shell",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=_SHELL,
        constraints={"X": _BUILT},
        bad="exec('ping ' + host, done)\n",
        good="execFile('ping', [host], done)\n",
    ),
    Rule(
        id="js-shell-value",
        meaning="shell",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=_SHELL,
        constraints={"X": {"all": [no(_FIXED), no(_BUILT)]}},
        traced=True,
        bad="app.get('/run', (req, res) => exec(req.query.command, done))\n",
        good="const result = pattern.exec(req.query.command)\n",
    ),
    Rule(
        id="js-sql",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=both(
            patterns(
                "$D.query($X)",
                "$D.query($X, $$$)",
                "$D.execute($X)",
                "$D.execute($X, $$$)",
                "$D.raw($X)",
                "$D.raw($X, $$$)",
                "$D.all($X, $$$)",
                "$D.get($X, $$$)",
                "$D.run($X, $$$)",
                "$D.$queryRawUnsafe($X)",
            ),
            kind("call_expression", SQL),
        ),
        constraints={"X": _BUILT},
        bad='db.query("SELECT * FROM users WHERE name = \'" + name + "\'")\n',
        good="db.query('SELECT * FROM users WHERE name = ?', [name])\n",
    ),
    Rule(
        id="js-sql-text",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher={
            "any": [
                both(kind("variable_declarator"), part("value", {**_BUILT, "regex": SQL})),
                both(kind("assignment_expression"), part("right", {**_BUILT, "regex": SQL})),
            ]
        },
        bad='const query = "SELECT * FROM users WHERE name = \'" + name + "\'"\n',
        good="const query = 'SELECT * FROM users WHERE name = ?'\n",
    ),
    Rule(
        id="js-nosql-where",
        meaning="nosql",
        severity="high",
        confidence="high",
        languages=_ALL,
        matcher=both(
            kind("pair"),
            part("key", {"regex": r"^['\"]?\$where"}),
            part("value", {"any": [*_BUILT["any"], kind("identifier")]}),
        ),
        bad="users.find({ $where: `this.age > ${age}` })\n",
        good="users.find({ age: { $gt: Number(age) } })\n",
    ),
    Rule(
        id="js-nosql-input",
        meaning="nosql",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=both(
            patterns(
                "$M.find($$$)", "$M.findOne($$$)", "$M.updateOne($$$)", "$M.deleteOne($$$)", "$M.findOneAndUpdate($$$)"
            ),
            has(both(kind("pair"), part("value", kind("member_expression", r"^req\.(body|query)\.\w+$")))),
            no(kind("call_expression", r"\bwhere\s*:")),
        ),
        bad="User.findOne({ name: req.body.name, password: req.body.password })\n",
        good="User.findOne({ name: String(req.body.name) })\n",
    ),
    Rule(
        id="js-redirect",
        meaning="redirect",
        severity="medium",
        confidence="medium",
        languages=_ALL,
        matcher=patterns("$R.redirect($X)", "$R.redirect($S, $X)", "redirect($X)"),
        constraints={
            "X": {
                "any": [
                    kind("identifier", ADDRESS),
                    {"regex": r"^\(?(c\.)?(req|request|ctx)\.(query|body|params?|payload)\b"},
                ]
            }
        },
        traced=True,
        bad="res.redirect(req.query.next)\n",
        good="res.redirect('/home')\n",
    ),
    Rule(
        id="js-html",
        meaning="xss",
        severity="medium",
        confidence="medium",
        languages=_ALL,
        matcher=patterns(
            "$E.innerHTML = $X",
            "$E.innerHTML += $X",
            "$E.outerHTML = $X",
            "document.write($X)",
            "$E.insertAdjacentHTML($P, $X)",
        ),
        constraints={"X": {**_BUILT, "regex": r"\$\{|\+\s*\w"}},
        bad="box.innerHTML = '<b>' + name + '</b>'\n",
        good="box.textContent = name\n",
    ),
    Rule(
        id="js-html-answer",
        meaning="xss",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=patterns(
            "$R.send($X)", "$R.write($X)", "$R.end($X)", "$R.status($S).send($X)", "$C.html($X)", "ctx.body = $X"
        ),
        constraints={"X": {"all": [_BUILT, {"regex": r"<\w+|['\"`]\s*\+"}]}},
        traced=True,
        bad="res.send('<h1>Hello ' + req.query.name + '</h1>')\n",
        good="res.json({ name: req.query.name })\n",
    ),
    Rule(
        id="js-tls",
        meaning="tls",
        severity="high",
        confidence="high",
        languages=_ALL,
        matcher={
            "any": [
                both(
                    kind("assignment_expression", r"NODE_TLS_REJECT_UNAUTHORIZED"),
                    part("right", {"regex": r"^['\"]?0"}),
                ),
                both(
                    kind("pair"),
                    part("key", {"regex": r"^['\"]?rejectUnauthorized['\"]?$"}),
                    part("value", {"regex": "^false$"}),
                ),
            ]
        },
        bad="const agent = new https.Agent({ rejectUnauthorized: false })\n",
        good="const agent = new https.Agent({ ca })\n",
    ),
    Rule(
        id="js-hash",
        meaning="hash",
        severity="high",
        confidence="low",
        languages=_ALL,
        matcher=both(
            patterns("$C.createHash($$$)", "createHash($$$)", "md5($$$)"),
            kind("call_expression", r"(?i)^md5\(|['\"](md5|sha1)['\"]"),
        ),
        bad="const stored = crypto.createHash('md5').update(password).digest('hex')\n",
        good="const stored = await bcrypt.hash(password, 12)\n",
    ),
    Rule(
        id="js-random",
        meaning="random",
        severity="high",
        confidence="low",
        languages=_ALL,
        matcher=patterns("Math.random()"),
        bad="const token = Math.random().toString(36)\n",
        good="const token = crypto.randomBytes(16).toString('hex')\n",
    ),
    Rule(
        id="js-jwt",
        meaning="jwt",
        severity="high",
        confidence="high",
        languages=_ALL,
        matcher=both(
            patterns("jwt.verify($$$)", "jwt.sign($$$)", "jsonwebtoken.verify($$$)", "expressJwt($$$)"),
            kind("call_expression", r"algorithms?['\"]?\s*:\s*\[?[^\]]*['\"]none['\"]"),
        ),
        bad="jwt.verify(token, key, { algorithms: ['HS256', 'none'] })\n",
        good="jwt.verify(token, key, { algorithms: ['HS256'] })\n",
    ),
    Rule(
        id="js-regex",
        meaning="regex",
        severity="medium",
        confidence="medium",
        languages=_ALL,
        matcher=patterns("new RegExp($X)", "new RegExp($X, $$$)", "RegExp($X)"),
        constraints={"X": {"regex": r"\b(req|request)\.(query|params|body)\b"}},
        bad="const found = names.filter(n => new RegExp(req.query.q).test(n))\n",
        good="const found = names.filter(n => n.includes(req.query.q))\n",
    ),
    Rule(
        id="js-cors",
        meaning="cors",
        severity="medium",
        confidence="high",
        languages=_ALL,
        matcher=both(
            kind("object"),
            {"has": kind("pair", r"^origin\s*:\s*true$")},
            {"has": kind("pair", r"^credentials\s*:\s*true$")},
        ),
        bad="app.use(cors({ origin: true, credentials: true }))\n",
        good="app.use(cors({ origin: hosts, credentials: true }))\n",
    ),
    Rule(
        id="js-path",
        meaning="path",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=patterns(
            "$F.readFile($X)",
            "$F.readFile($X, $$$)",
            "$F.readFileSync($X)",
            "$F.readFileSync($X, $$$)",
            "readFile($X, $$$)",
            "readFileSync($X)",
            "readFileSync($X, $$$)",
            "$R.sendFile($X)",
            "$R.sendFile($X, $$$)",
            "$F.createReadStream($X)",
            "createReadStream($X)",
            "$F.unlink($X, $$$)",
            "$F.unlinkSync($X)",
            "$R.download($X)",
            "$R.download($X, $$$)",
            "require($X)",
        ),
        constraints={"X": no(_FIXED)},
        traced=True,
        bad="res.sendFile(path.join(root, req.params.name))\n",
        good="res.sendFile('list.html', { root })\n",
    ),
    Rule(
        id="js-ssrf",
        meaning="ssrf",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=patterns(
            "fetch($X)",
            "fetch($X, $$$)",
            "axios($X)",
            "axios.$F($X)",
            "axios.$F($X, $$$)",
            "needle.get($X, $$$)",
            "request($X)",
            "request($X, $$$)",
            "request.get($X)",
            "request.get($X, $$$)",
            "http.get($X, $$$)",
            "https.get($X, $$$)",
            "got($X)",
            "got($X, $$$)",
        ),
        constraints={"X": no(_FIXED)},
        traced=True,
        bad="const page = await fetch(req.query.url)\n",
        good="const page = await fetch('https://example.org')\n",
    ),
    Rule(
        id="js-signing-key",
        meaning="signing-key",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher={
            "any": [
                both(
                    kind("pair"),
                    part("key", {"regex": r"^['\"]?(secret|secretOrKey|secretKey)['\"]?$"}),
                    part("value", kind("string", r"^.[^\s]{3,}.$")),
                    inside(
                        kind("call_expression", r"^(session|cookieSession|expressSession|expressjwt|expressJwt|jwt)\(")
                    ),
                ),
                both(
                    patterns("jwt.sign($$$)", "jwt.verify($$$)"),
                    {"has": {"field": "arguments", "has": {"kind": "string", "nthChild": 2}}},
                ),
            ]
        },
        bad="app.use(session({ secret: 'keyboard-7731', resave: false }))\n",
        good="app.use(session({ secret: process.env.SESSION_SECRET, resave: false }))\n",
    ),
    Rule(
        id="js-deserialize",
        meaning="deserialize",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=patterns("$S.unserialize($X)", "unserialize($X)", "yaml.load($X, $$$A)", "$S.deserialize($X)"),
        constraints={"X": no(_FIXED)},
        traced=True,
        bad="const data = serialize.unserialize(req.cookies.profile)\n",
        good="const data = JSON.parse(req.cookies.profile)\n",
    ),
    Rule(
        id="js-evaluate",
        meaning="eval",
        severity="high",
        confidence="medium",
        languages=_ALL,
        matcher=patterns("$S.eval($X)", "$S.evaluate($X)"),
        constraints={"X": {"regex": r"\breq\.(body|query|params)"}},
        bad="const sum = math.evaluate(req.body.expression)\n",
        good="const sum = math.evaluate(expression)\n",
    ),
    Rule(
        id="js-xml",
        meaning="xxe",
        severity="high",
        confidence="high",
        languages=_ALL,
        matcher=both(
            patterns("$L.parseXml($$$)", "$L.parseXmlString($$$)", "$L.parseXmlAsync($$$)"),
            kind("call_expression", r"noent\s*:\s*true"),
        ),
        bad="libxml.parseXml(text, { noent: true })\n",
        good="libxml.parseXml(text, { noent: false })\n",
    ),
)
