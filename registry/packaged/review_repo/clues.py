"""The words in code by which evidence is judged: secrets, checks, conversions, options.

Pure: patterns.
"""

from __future__ import annotations

import re

SECRET = re.compile(
    r"passw|pwd\b|passphrase|credential|\bsecret|token|\botp\b|\bpin\b|reset_?(code|key)|api_?key|session_?(id|key)|signature",
    re.IGNORECASE,
)
NO_SECRET = re.compile(
    r"usedforsecurity\s*=\s*False|etag|cache|checksum|fingerprint|gravatar|integrity|jitter|backoff|shuffle|sample|colou?r"
    r"|choice\(\s*\w*(keys|tokens|passwords|secrets|pins|codes)\s*\)|\w*s\[[^\]]*nextInt|\[Math\.floor|nonce|test|mock|uuid|digest_?auth|tokeni[sz]|csrf_?name|max_?tokens|num_?tokens"
    r"|token_?count",
    re.IGNORECASE,
)
MAKES_SECRET = re.compile(
    r"\b(?:def|func|function|public|private|protected|static|const|let|fun|fn)\b[^(=]*?"
    r"(?:(?:hash|digest|encrypt|generate|make|create|new|gen|reset|random)\w*(?:passw|pwd|secret|token|otp|pin\b|session|key)"
    r"|(?:passw|pwd|secret|token|otp|session)\w*(?:hash|digest|reset|generat)|\b(?:token|otp|password|secret)\s*\()",
    re.IGNORECASE,
)
"""The head of a function that makes a secret, by its name."""
OPTION = re.compile(
    r"\bif\b.*(insecure|unsafe|skip|verify|ignore|allow|self.?signed|tls|ssl|check)|localhost|127\.0\.0\.1|\[::1\]|health.?check"
    r"|local\w*url|VERIFY_PEER\s*:|(insecure|skip.?verify|no.?verify|verify.?(ssl|tls))\w*\s*(\?|&&|:=|=\s*os|=\s*get|\bor\b)",
    re.IGNORECASE,
)
"""An option by which a user switches a check off, or an address of the machine itself."""
CONVERTED = re.compile(
    r"\b(int|float|parseInt|parseFloat|Number|Integer\.parseInt|Integer\.valueOf|Long\.parseLong|strconv\.Itoa|intval|to_i)\s*\("
    r"|\.to_i\b|shlex\.quote|shlex\.join|shellescape|escapeshell|pipes\.quote|secure_filename|safe_join|basename\(|\.getName\(\)"
    r"|DOMPurify|sanitize|htmlspecialchars|escapeHtml|html\.escape|escape\w*\(|\bquote\w*\(|urlencode|format_html"
    r"|encodeURIComponent|url_has_allowed_host|is_safe_url|sql\.Identifier|Identifier\("
)
CHECKED = re.compile(
    r"is_numeric|ctype_\w+\(|filter_var|preg_match\(|in_array\(|\.is(digit|alnum|numeric)\(|isNaN\(|Number\.isInteger|\.matches\("
    r"|re\.(full)?match\(|validat|is_?valid|(?i:allow(ed|_?list)|white_?list)|\bnot in [A-Z_]{3,}|\.has\(|\.includes\("
)
ROOTED = re.compile(
    r"\broot\b\s*[:,}]|send_from_directory|safe_join|\.resolve\(\)|is_relative_to|os\.Root|http\.Dir\(|realpath|filepath\.Clean"
)
FROM_ADDRESS = re.compile(
    r"\blocation\.(search|hash|href)|URLSearchParams|document\.(referrer|URL)\b|\bprompt\("
    r"|addEventListener\(\s*['\"]message|\bwindow\.name\b"
)
"""Sources in the browser that a visitor of a page controls."""
MIGRATION = re.compile(
    r"(^|/)(migrations?|alembic|versions|revisions|seeds?|schema|upgrades?)(/|\.)|backup|init_db", re.IGNORECASE
)
"""Paths of code that works on the project's own data."""
NUMBER_NAME = re.compile(r"pid|port|count|num(ber)?|index|idx|size|timeout|(\w*_)?id|n|i", re.IGNORECASE)
OTHER_PYTHONS = frozenset(
    {
        "unicode",
        "xrange",
        "raw_input",
        "basestring",
        "long",
        "unichr",
        "reduce",
        "file",
        "cmp",
        "execfile",
        "reload",
        "buffer",
    }
    | {"intern", "apply", "coerce", "get_ipython", "WindowsError", "display", "spark", "dbutils", "_", "__path__"}
)
"""Names that older Pythons, IPython or notebooks define."""
