"""Our rules for Ruby.

Pure: a table.
"""

from __future__ import annotations

from registry.packaged.review_repo.rules.form import SQL, Rule, both, has, kind, no, part, patterns

_RUBY = ("Ruby",)
_REQUEST = r"\b(params|cookies)(\[|\.)|\brequest\."
_FILLED = both(kind("string"), has(kind("interpolation")))


def _call(names: str, arguments: dict[str, object]) -> dict[str, object]:
    return both(kind("call"), part("method", {"regex": f"^({names})$"}), part("arguments", arguments))


RULES = (
    Rule(
        id="ruby-sql",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_RUBY,
        matcher=_call(
            "where|find_by_sql|order|joins|having|select_all|execute|exec_query|count_by_sql|update_all|delete_all|pluck|group|exec",
            {
                "has": {
                    "any": [
                        _FILLED,
                        both(
                            kind("binary", r"^['\"]"),
                            has({"any": [kind("identifier"), kind("call"), kind("element_reference")]}),
                        ),
                    ]
                }
            },
        ),
        bad="User.where(\"id = '#{params[:id]}'\")\n",
        good="User.where('id = ?', params[:id])\n",
    ),
    Rule(
        id="ruby-sql-text",
        meaning="sql",
        severity="high",
        confidence="medium",
        languages=_RUBY,
        matcher=both(kind("assignment"), part("right", {**_FILLED, "regex": SQL})),
        bad="query = \"SELECT * FROM users WHERE name = '#{name}'\"\n",
        good="query = 'SELECT * FROM users WHERE name = ?'\n",
    ),
    Rule(
        id="ruby-shell",
        meaning="shell",
        severity="high",
        confidence="medium",
        languages=_RUBY,
        matcher={
            "any": [
                both(
                    _call("system|exec|spawn|popen|capture2|capture3", {"has": {**_FILLED, "nthChild": 1}}),
                    no({"regex": r"shellescape|Shellwords"}),
                ),
                both(kind("subshell"), has(kind("interpolation")), no({"regex": r"shellescape|Shellwords"})),
            ]
        },
        bad='system("ping #{host}")\n',
        good='system("ping", host)\n',
    ),
    Rule(
        id="ruby-eval",
        meaning="eval",
        severity="high",
        confidence="low",
        languages=_RUBY,
        matcher=_call(
            "eval|instance_eval|class_eval|module_eval",
            {"has": {"any": [kind("identifier"), kind("call"), kind("element_reference"), _FILLED]}},
        ),
        bad="eval(params[:code])\n",
        good="eval('1 + 1')\n",
    ),
    Rule(
        id="ruby-reflection",
        meaning="reflection",
        severity="high",
        confidence="high",
        languages=_RUBY,
        matcher={
            "any": [
                both(kind("call", r"\b(params|cookies)\b.*\.(constantize|safe_constantize|to_sym\.call)$")),
                both(
                    _call("send|public_send|try|const_get", {"has": {"regex": r"^(params|cookies)\b", "nthChild": 1}})
                ),
            ]
        },
        bad="klass = params[:type].constantize\n",
        good="klass = TYPES.fetch(params[:type])\n",
    ),
    Rule(
        id="ruby-deserialize",
        meaning="deserialize",
        severity="high",
        confidence="medium",
        languages=_RUBY,
        matcher={
            "any": [
                patterns("Marshal.load($X)", "Marshal.restore($X)"),
                both(patterns("YAML.load($X)", "YAML.unsafe_load($X)"), {"regex": _REQUEST}),
            ]
        },
        bad="user = Marshal.load(Base64.decode64(params[:user]))\n",
        good="user = JSON.parse(params[:user])\n",
    ),
    Rule(
        id="ruby-html",
        meaning="xss",
        severity="high",
        confidence="medium",
        languages=_RUBY,
        matcher={
            "any": [
                both(kind("call", r"\.html_safe$"), {"regex": _REQUEST}),
                _call("raw|render_inline", {"regex": _REQUEST}),
                _call("render", {"regex": r"\binline:.*#\{|html:.*(params|cookies)\["}),
            ]
        },
        bad="raw(params[:comment])\n",
        good="sanitize(params[:comment])\n",
    ),
    Rule(
        id="ruby-redirect",
        meaning="redirect",
        severity="medium",
        confidence="high",
        languages=_RUBY,
        matcher=both(
            _call("redirect_to", {"regex": r"^\(?\s*params\[|^\(?\s*(path|url)?\s*=?\s*params\[|request\.referer"}),
            no({"regex": "only_path"}),
        ),
        bad="redirect_to(params[:url])\n",
        good="redirect_to(root_path)\n",
    ),
    Rule(
        id="ruby-path",
        meaning="path",
        severity="high",
        confidence="high",
        languages=_RUBY,
        matcher=_call("send_file|read|open|readlines|binread", {"regex": r"\bparams\["}),
        bad="send_file(params[:name])\n",
        good="send_file(report.path)\n",
    ),
    Rule(
        id="ruby-mass-assignment",
        meaning="mass-assignment",
        severity="high",
        confidence="high",
        languages=_RUBY,
        matcher=kind("call", r"\bparams(\[:?\w+\]|\.require\([^)]*\))?\.permit!$"),
        bad="user.update(params[:user].permit!)\n",
        good="user.update(params.require(:user).permit(:name))\n",
    ),
    Rule(
        id="ruby-csrf",
        meaning="csrf",
        severity="medium",
        confidence="low",
        languages=_RUBY,
        matcher=_call("skip_before_action|skip_forgery_protection", {"regex": "verify_authenticity_token"}),
        bad="skip_before_action :verify_authenticity_token\n",
        good="protect_from_forgery with: :exception\n",
    ),
    Rule(
        id="ruby-tls",
        meaning="tls",
        severity="high",
        confidence="high",
        languages=_RUBY,
        matcher=kind("scope_resolution", r"^OpenSSL::SSL::VERIFY_NONE$"),
        bad="http.verify_mode = OpenSSL::SSL::VERIFY_NONE\n",
        good="http.verify_mode = OpenSSL::SSL::VERIFY_PEER\n",
    ),
    Rule(
        id="ruby-hash",
        meaning="hash",
        severity="high",
        confidence="low",
        languages=_RUBY,
        matcher=patterns("Digest::MD5.hexdigest($X)", "Digest::SHA1.hexdigest($X)", "Digest::MD5.digest($X)"),
        bad="stored = Digest::MD5.hexdigest(password)\n",
        good="stored = BCrypt::Password.create(password)\n",
    ),
)
