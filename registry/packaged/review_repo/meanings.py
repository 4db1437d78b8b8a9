"""The meanings of findings, whichever tool reports them: the kind, why it matters, how to correct it.

Pure: a table. Rules of several tools share a meaning, and then count as one finding where they meet on a line.
"""

from __future__ import annotations

from registry.packaged.review_repo.meaning_form import KINDS, SECURITY, Meaning
from registry.packaged.review_repo.project_meanings import PROJECT

__all__ = ["KINDS", "MEANINGS", "SECURITY", "Meaning"]

_PARAMETERS = "Write placeholders into the SQL and pass the values beside it."
_NO_SHELL = "Start the program with a list of arguments, without a shell."
_CHECK_ADDRESS = "Compare the address with a list of hosts that are allowed."

MEANINGS = {
    "sql": Meaning(
        "injection", "SQL built from text", "A value inside the text can change the statement itself.", _PARAMETERS, 89
    ),
    "nosql": Meaning(
        "injection",
        "Database query built from input",
        "An object in place of a text is an operator, and matches all.",
        "Convert the value to a text first, or check its type.",
        943,
    ),
    "shell": Meaning(
        "injection",
        "Shell command built from a value",
        "A value that reaches the shell can carry a command of its own.",
        _NO_SHELL,
        78,
    ),
    "program": Meaning(
        "injection",
        "Program chosen by a value",
        "The value decides which program runs, or with which options.",
        "Take the program and its options from a fixed list.",
        78,
    ),
    "eval": Meaning(
        "injection",
        "Text run as code",
        "Text that is evaluated runs with all rights of the process.",
        "Parse the input, or choose from a table of functions.",
        95,
    ),
    "template": Meaning(
        "injection",
        "Template text built from a value",
        "A value in the template's own text can run code on the server.",
        "Keep the template fixed and pass the value as a variable.",
        1336,
    ),
    "deserialize": Meaning(
        "injection",
        "Objects made from foreign data",
        "Data of this format can name code that runs while it is read.",
        "Use JSON or another format of plain data for what comes from outside.",
        502,
    ),
    "xss": Meaning(
        "injection",
        "HTML made from a value",
        "A value with markup in it runs as script in the visitor's browser.",
        "Escape the value, or set it as text.",
        79,
    ),
    "path": Meaning(
        "injection",
        "File path from the request",
        "With `..` in it the path leaves the folder that was meant.",
        "Resolve the path and check that it is still inside the folder.",
        22,
    ),
    "include": Meaning(
        "injection",
        "Included file chosen by a value",
        "The value decides which file runs as code.",
        "Choose the file from a fixed list.",
        98,
    ),
    "ssrf": Meaning(
        "injection",
        "Server opens an address that the request names",
        "A visitor can make the server call machines inside its own network.",
        _CHECK_ADDRESS,
        918,
    ),
    "redirect": Meaning(
        "injection",
        "Redirect to an address that the request names",
        "A link to this site can lead visitors to a copy of it elsewhere.",
        _CHECK_ADDRESS,
        601,
    ),
    "xxe": Meaning(
        "injection",
        "XML read with external entities",
        "A document can make the parser read files and open addresses.",
        "Switch document types or external entities off in the parser.",
        611,
    ),
    "regex": Meaning(
        "injection",
        "Regular expression from the request",
        "A visitor can send an expression that takes minutes to match.",
        "Escape the text before it becomes part of an expression.",
        1333,
    ),
    "archive": Meaning(
        "injection",
        "Archive unpacked without a check",
        "An archive with crafted names writes outside its folder.",
        'Check every name, or use `filter="data"`.',
        22,
    ),
    "reflection": Meaning(
        "injection",
        "Method or class chosen by the request",
        "A visitor can call what was never meant to be reachable.",
        "Choose from a fixed list of names.",
        470,
    ),
    "jwt": Meaning(
        "access",
        "Token read without its signature checked",
        "Anyone can write a token, and be any user.",
        "Verify the signature with a fixed list of algorithms.",
        347,
    ),
    "mass-assignment": Meaning(
        "access",
        "All fields of the request are taken",
        "A visitor can set fields that the form does not show, such as a role.",
        "Name the fields that may be set.",
        915,
    ),
    "csrf": Meaning(
        "access",
        "Protection against forged requests switched off",
        "Another site can act in the name of a visitor.",
        "Keep the protection on, except for endpoints that use tokens.",
        352,
    ),
    "cors": Meaning(
        "access",
        "Any origin may use a visitor's session",
        "Every site can read the answers meant for a logged-in visitor.",
        "List the origins that may send credentials.",
        942,
    ),
    "debug": Meaning(
        "access",
        "Debugger served to everyone who reaches the port",
        "The debugger lets a visitor run code.",
        "Take the setting from the environment, off by default.",
        489,
    ),
    "tls": Meaning(
        "tls",
        "Certificate check switched off",
        "Anyone on the way can read and change what is sent.",
        "Keep the check on; add a private authority's certificate instead.",
        295,
    ),
    "hash": Meaning(
        "crypto",
        "Weak hash for a secret",
        "Passwords hashed like this are found by trying, in hours.",
        "Use bcrypt, scrypt or Argon2 for passwords, SHA-256 for tokens.",
        327,
    ),
    "random": Meaning(
        "crypto",
        "Secret from a predictable generator",
        "The next value can be computed from earlier ones.",
        "Use the generator for secrets: `secrets`, `crypto.randomBytes`, `SecureRandom`, `crypto/rand`.",
        338,
    ),
    "cipher": Meaning(
        "crypto",
        "Outdated cipher or mode",
        "The encrypted data can be read or changed.",
        "Use AES-GCM or ChaCha20-Poly1305 from a maintained library.",
        327,
    ),
    "secret": Meaning(
        "secret",
        "Secret in the code",
        "Anyone who can read the code, or its history, can use it.",
        "Revoke and replace it, then load it from the environment.",
        798,
    ),
    "signing-key": Meaning(
        "secret",
        "Signing key written in the code",
        "Anyone who knows it can make sessions or tokens of any user.",
        "Load it from the environment, and replace this one.",
        321,
    ),
    **PROJECT,
}
