"""The words in code by which evidence is judged: secrets, checks, conversions, options.

Pure: patterns.
"""

from __future__ import annotations

import re

SECRET = re.compile(
    r"passw|pwd\b|passphrase|credential|\bsecret|token|\botp\b|\bpin\b|reset_?(code|key)|api_?key|session_?(id|key)|signature",
    re.IGNORECASE,
)
PASSWORD = re.compile(r"passw|pwd\b|passphrase|\bpin\b|\bpass\b|reset_?(code|key)|recover|token\s*=", re.IGNORECASE)
OF_A_KEY = re.compile(r"cache|salt\s*\)*\s*[=!]==?|==\s*\w*token|cred\w*\.\w*(salt|token)|subsonic", re.IGNORECASE)
"""A hash that names something, or that a protocol compares."""
ASKED = re.compile(
    r"\w*(command|cmd|host(name)?|domain(_?name)?|url|uri|input|payload|query|ip(_?addr(ess)?)?|address|target|payload|code|expr(ession)?|param(eter)?s?)",
    re.IGNORECASE,
)
"""Names of parameters whose value someone asks for."""
OF_BUILDERS = re.compile(r"(^|/)(scripts?|bin|hack|hacking|tools?|utils?|dev|ci|build|deploy|tasks?)/", re.IGNORECASE)
NO_SECRET = re.compile(
    r"usedforsecurity\s*=\s*False|etag|cache|checksum|fingerprint|gravatar|integrity|jitter|backoff|shuffle|sample|colou?r"
    r"|choice\(\s*\w*(keys|tokens|passwords|secrets|pins|codes)\s*\)|\w*s\[[^\]]*nextInt|\[Math\.floor|Math\.random\(\)\s*\*\s*\w+\.length|nonce|test|mock|uuid|digest_?auth|tokeni[sz]|csrf_?name|max_?tokens|num_?tokens"
    r"|token_?count|\b(?:length|size|count|delay)\s*:?=[^=]",
    re.IGNORECASE,
)
PRESCRIBED = re.compile(
    r"htpasswd|htdigest|\{S?SHA\}|apr1|ntlm|md4|\bapop\b|cram.?md5|mysql_?native|radius|legacy|compat|needs_?rehash|pwned|hibp|k.?anonym|old_?(hash|password)"
    r"|upgrade|digest_?auth|gravatar|oauth1|pbkdf|aws4|x-amz|webhook|signature_v1",
    re.IGNORECASE,
)
"""A format or protocol that prescribes the weak hash, or code that replaces it."""
MAKES_SECRET = re.compile(
    r"\b(?:def|func|function|public|private|protected|static|const|let|fun|fn)\b[^(=]*?"
    r"(?:(?:hash|digest|encrypt|generate|make|create|new|gen|reset|random)\w*(?:passw|pwd|secret|token|otp|pin\b|session|key)"
    r"|(?:passw|pwd|secret|token|otp|session)\w*(?:hash|digest|reset|generat)|\b(?:token|otp|password|secret)\s*\()",
    re.IGNORECASE,
)
"""The head of a function that makes a secret, by its name."""
OPTION = re.compile(
    r"\bif\b.*(insecure|unsafe|development|debug|skip|verify|ignore|allow|self.?signed|tls|ssl|check)|localhost|127\.0\.0\.1|\[::1\]|health.?check"
    r"|local\w*url|VERIFY_PEER\s*:|(insecure|skip.?verify|no.?verify|verify.?(ssl|tls))\w*\s*(\?|&&|:=|=\s*os|=\s*get|\bor\b)",
    re.IGNORECASE,
)
"""An option by which a user switches a check off, or an address of the machine itself."""
OWN_CHECK = re.compile(
    r"Verify(Peer|Connection)|PeerCertSANs|RootCAs|(custom|own|peer|hostname).{0,12}verif|verif\w*.{0,20}(callback|function|itself|below)"
    r"|pinn(ed|ing)|fingerprint",
    re.IGNORECASE,
)
"""Code beside a check that is off and does it in another way."""
CONVERTED = re.compile(
    r"\b(int|float|parseInt|parseFloat|Number|Integer\.parseInt|Integer\.valueOf|Long\.parseLong|strconv\.Itoa|intval|to_i)\s*\("
    r"|\.to_i\b|shlex\.quote|shlex\.join|shellescape|escapeshell|pipes\.quote|secure_filename|safe_join|basename\(|\.getName\(\)"
    r"|DOMPurify|[Ss]anitize|htmlspecialchars|escapeHtml|html\.escape|[Ee]scape\w*\(|\bquote\w*\(|urlencode|format_html"
    r"|encodeURIComponent|url_has_allowed_host|is_safe_url|sql\.Identifier|Identifier\("
)
CHECKED = re.compile(
    r"is_numeric|ctype_\w+\(|filter_var|preg_match\(|in_array\(|\.is(digit|alnum|numeric)\(|isNaN\(|Number\.isInteger|\.matches\("
    r"|re\.(full)?match\(|(?i:validat|is_?valid|is_?local|allow(ed|_?list)|white_?list)"
    r"|\bnot in [A-Z_]{3,}|\.has\(|\.includes\("
)
ALLOWS = re.compile(r"allow\w*\(|is_?safe\w*\(", re.IGNORECASE)
"""A function that knows the addresses of this site."""
ROOTED = re.compile(
    r"\broot\b\s*[:,}]|send_from_directory|safe_join|\.resolve\(\)|is_relative_to|os\.Root|http\.Dir\(|realpath|filepath\.Clean"
)
FROM_ADDRESS = re.compile(
    r"\blocation\.(search|hash|href)|URLSearchParams|document\.(referrer|URL)\b|\bprompt\("
    r"|addEventListener\(\s*['\"]message|\bwindow\.name\b"
)
"""Sources in the browser that a visitor of a page controls."""
BROWSER = re.compile(
    r"(^|/)(client|frontend|front|assets|static|public|web|webui|ui|components|browser)/.*\.[mc]?[jt]sx?$|\.(tsx|jsx|vue|svelte)$",
    re.IGNORECASE,
)
"""Code that runs in a browser, which keeps no secret from its user."""
SERVES = re.compile(
    r"(^|/)(app|controllers?|routes?|api|server|web|public|views|helpers|graphql)(/|\.rb$)|_controller\.rb$|config\.ru$",
    re.IGNORECASE,
)
"""Ruby files in which `params` are those of a request; elsewhere they are options of a program."""
SERVER = re.compile(
    r"require ['\"]sinatra|Sinatra::|\b(Application|Action)Controller|< (Roda|Grape::API)\b|Hanami::Action"
)
CHECKED_BELOW = re.compile(r"respond_to\?|is_a\?|\.ancestors|<=? ?[A-Z]\w+|include\?|\bin\?|instanceof|is_subclass_of")
PEEKS = re.compile(
    r"\b(def|func|function)\s+(\([^)]*\)\s*)?\w*(is_|has_|peek|unverified|owner|issuer|kid|expir|header)\w*",
    re.IGNORECASE,
)
SIGN_ON = re.compile(r"oauth|openid|oidc|saml|sso\b|/sso", re.IGNORECASE)
"""Code whose redirects are checked against those that a client has registered."""
MIGRATION = re.compile(
    r"(^|/)(migrations?|migrate|alembic|versions|revisions|seeds?|schema|upgrades?)(/|\.)|backup|init_db", re.IGNORECASE
)
"""Paths of code that works on the project's own data."""
NUMBER_NAME = re.compile(
    r"pid|port|count|num(ber)?|index|idx|size|timeout|\w*_?ids?|n|i|qu\w*tity|amount|limit|offset|page|year|month|days?|cursor",
    re.IGNORECASE,
)
TEST_MODULE = re.compile(r"^#\[cfg\(test\)\]\n(?:#\[.*\n)*mod ", re.MULTILINE)
"""The tests at the end of a module of Rust."""
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
