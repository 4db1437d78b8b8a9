"""Our rules for PHP.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.rules.form import ADDRESS, SQL, Rule, both, has, kind, no, part

_PHP = ("Php",)
_BUILT = {
    "any": [
        both(kind("encapsed_string"), has(kind("variable_name"))),
        both(kind("binary_expression"), has(kind("variable_name"))),
    ]
}
_QUERIES = (
    r"^(mysqli_query|mysql_query|pg_query|sqlite_query|mysqli_multi_query|query|exec|prepare|rawQuery|multi_query)$"
)
_FIXED_ARGUMENT = r"^\(\s*(\"[^\"$]*\"|'[^']*')\s*[,)]"


def _call(names: str, arguments: dict[str, object]) -> dict[str, object]:
    return both(
        kind("function_call_expression"), part("function", {"regex": f"^\\\\?({names})$"}), part("arguments", arguments)
    )


RULES = (
    Rule(
        id="php-sql",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_PHP,
        matcher={
            "any": [
                both(
                    {
                        "any": [
                            both(kind("function_call_expression"), part("function", {"regex": _QUERIES})),
                            both(kind("member_call_expression"), part("name", {"regex": _QUERIES})),
                        ]
                    },
                    {"has": {"field": "arguments", **has({**_BUILT, "regex": SQL})}},
                ),
            ]
        },
        bad="<?php $db->query(\"SELECT * FROM users WHERE name = '$name'\");\n",
        good="<?php $db->prepare('SELECT * FROM users WHERE name = ?');\n",
    ),
    Rule(
        id="php-sql-text",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_PHP,
        matcher=both(kind("assignment_expression"), part("right", {**_BUILT, "regex": SQL})),
        bad="<?php $query = \"SELECT * FROM users WHERE name = '$name'\";\n",
        good="<?php $query = 'SELECT * FROM users WHERE name = ?';\n",
    ),
    Rule(
        id="php-shell",
        meaning="shell",
        severity="high",
        confidence="medium",
        languages=_PHP,
        matcher={
            "any": [
                _call(
                    "exec|system|passthru|shell_exec|popen|proc_open",
                    {"all": [has(kind("variable_name")), no({"regex": "escapeshell"})]},
                ),
                both(kind("shell_command_expression"), has(kind("variable_name"))),
            ]
        },
        bad="<?php system('ping ' . $host);\n",
        good="<?php system('ping ' . escapeshellarg($host));\n",
    ),
    Rule(
        id="php-eval",
        meaning="eval",
        severity="high",
        confidence="medium",
        languages=_PHP,
        matcher=_call("eval|assert|create_function", has(kind("variable_name"))),
        bad="<?php eval($code);\n",
        good="<?php eval('return 1;');\n",
    ),
    Rule(
        id="php-include",
        meaning="include",
        severity="high",
        confidence="medium",
        languages=_PHP,
        matcher={
            "any": [
                kind(name)
                for name in (
                    "include_expression",
                    "include_once_expression",
                    "require_expression",
                    "require_once_expression",
                )
            ],
            **has(kind("variable_name")),
        },
        traced=True,
        bad="<?php include $_GET['page'];\n",
        good="<?php include 'page.php';\n",
    ),
    Rule(
        id="php-deserialize",
        meaning="deserialize",
        severity="high",
        confidence="low",
        languages=_PHP,
        matcher=_call("unserialize", {"all": [has(kind("variable_name")), no({"regex": "allowed_classes"})]}),
        bad="<?php $x = unserialize($_COOKIE['x']);\n",
        good="<?php $x = json_decode($_COOKIE['x']);\n",
    ),
    Rule(
        id="php-html",
        meaning="xss",
        severity="high",
        confidence="high",
        languages=_PHP,
        matcher={
            "any": [kind("echo_statement"), kind("print_intrinsic")],
            "has": {
                "kind": "subscript_expression",
                "regex": r"^\$_(GET|POST|REQUEST|COOKIE)\b",
                "stopBy": {"kind": "arguments"},
            },
        },
        bad="<?php echo 'Hello ' . $_GET['name'];\n",
        good="<?php echo 'Hello ' . htmlspecialchars($_GET['name']);\n",
    ),
    Rule(
        id="php-path",
        meaning="path",
        severity="high",
        confidence="high",
        languages=_PHP,
        matcher=_call(
            "file_get_contents|fopen|readfile|file|unlink|file_put_contents",
            {"all": [has(kind("variable_name")), no({"regex": r"basename|tmp_name"})]},
        ),
        traced=True,
        bad="<?php readfile('data/' . $_GET['file']);\n",
        good="<?php readfile('data/' . basename($_GET['file']));\n",
    ),
    Rule(
        id="php-redirect",
        meaning="redirect",
        severity="medium",
        confidence="high",
        languages=_PHP,
        matcher=_call("header", {"regex": rf"(?i)location:\s*['\"]?[\s.{{]*\$(_(GET|POST|REQUEST)\b|\w*{ADDRESS})"}),
        traced=True,
        bad="<?php header('Location: ' . $_GET['next']);\n",
        good="<?php header('Location: /home');\n",
    ),
    Rule(
        id="php-hash",
        meaning="hash",
        severity="high",
        confidence="low",
        languages=_PHP,
        matcher=_call("md5|sha1", has(kind("variable_name"))),
        bad="<?php $stored = md5($password);\n",
        good="<?php $stored = password_hash($password, PASSWORD_DEFAULT);\n",
    ),
    Rule(
        id="php-random",
        meaning="random",
        severity="high",
        confidence="low",
        languages=_PHP,
        matcher=_call("rand|mt_rand|uniqid", {"regex": r"^\("}),
        bad="<?php $token = md5(uniqid());\n",
        good="<?php $token = bin2hex(random_bytes(16));\n",
    ),
    Rule(
        id="php-tls",
        meaning="tls",
        severity="high",
        confidence="high",
        languages=_PHP,
        matcher=_call("curl_setopt", {"regex": r"CURLOPT_SSL_VERIFYPEER\s*,\s*(false|0)\s*\)"}),
        bad="<?php curl_setopt($c, CURLOPT_SSL_VERIFYPEER, false);\n",
        good="<?php curl_setopt($c, CURLOPT_SSL_VERIFYPEER, true);\n",
    ),
)
