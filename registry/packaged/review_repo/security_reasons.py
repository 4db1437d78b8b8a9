"""Why the weaknesses reported by bandit matter, and what to do about them.

Pure: a table.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        "B102",
        "Text that reaches exec runs with all rights of the process.",
        "Replace it with a table of functions, or parse the input.",
    ),
    (
        "B103",
        "Other users of the machine can change or read the file.",
        "Grant access to the owner only: 0o600, or 0o700 for programs.",
    ),
    (
        "B104",
        "A service on all interfaces is reachable from every network the machine is in.",
        "Listen on 127.0.0.1 by default and make the address a setting.",
    ),
    (
        "B105",
        "Anyone who can read the code, or its history, has the password.",
        "Take it from the environment or a secret store, and change it.",
    ),
    (
        "B106",
        "Anyone who can read the code, or its history, has the password.",
        "Take it from the environment or a secret store, and change it.",
    ),
    (
        "B107",
        "Anyone who can read the code, or its history, has the password.",
        "Make the argument required, or default to None.",
    ),
    (
        "B108",
        "Another user can make this file or link first, and choose what is read or overwritten.",
        "Use tempfile.mkstemp or TemporaryDirectory.",
    ),
    (
        "B110",
        "The error disappears: the program continues in an unexpected state.",
        "Catch the expected exception only, or log it.",
    ),
    (
        "B112",
        "The error disappears: the item is silently left out.",
        "Catch the expected exception only, or log it.",
    ),
    ("B113", "A server that does not answer blocks the caller forever.", "Give every request a timeout."),
    ("B201", "The debugger lets anyone who can reach it run code.", "Take debug from the environment, off by default."),
    (
        "B202",
        "An archive with crafted names writes outside the folder it is unpacked in.",
        "Use tarfile's filter='data', or check each member's path.",
    ),
    (
        "B30[12]",
        "Loading runs code that the data names.",
        "Use JSON or another plain data format for external data.",
    ),
    (
        "B303",
        "Collisions of this hash can be made, so it proves nothing.",
        "Use SHA-256, or pass usedforsecurity=False for a checksum.",
    ),
    (
        "B324",
        "Collisions of this hash can be made, so it proves nothing.",
        "Use SHA-256, or pass usedforsecurity=False for a checksum.",
    ),
    ("B30[45]", "The cipher or its mode is broken.", "Use AES-GCM or ChaCha20-Poly1305."),
    ("B306", "Another process can take the name between the call and the use.", "Use tempfile.mkstemp."),
    (
        "B307",
        "An expression from outside can call anything.",
        "Use ast.literal_eval, or a parser for the expected input.",
    ),
    (
        "B308",
        "Marked text is not escaped: what a user wrote runs in another user's browser.",
        "Build it with format_html.",
    ),
    (
        "B703",
        "Marked text is not escaped: what a user wrote runs in another user's browser.",
        "Build it with format_html.",
    ),
    (
        "B704",
        "Marked text is not escaped: what a user wrote runs in another user's browser.",
        "Escape values before they are marked safe.",
    ),
    ("B310", "A URL from outside may name a local file.", "Check the scheme before opening."),
    (
        "B311",
        "The next value can be computed from earlier ones.",
        "Use the module secrets for tokens; for anything else this is fine.",
    ),
    ("B312", "The protocol is not encrypted: passwords can be read in transit.", "Use SSH or TLS."),
    ("B321", "The protocol is not encrypted: passwords can be read in transit.", "Use SFTP or FTPS."),
    ("B40[12]", "The protocol is not encrypted: passwords can be read in transit.", "Use SSH or TLS."),
    (
        "B31[3-9]",
        "A crafted document reads local files or exhausts the memory.",
        "Parse XML from outside with defusedxml.",
    ),
    ("B410", "A crafted document reads local files or exhausts the memory.", "Parse XML from outside with defusedxml."),
    (
        "B323",
        "Without checking the certificate, anyone in between can read and change the traffic.",
        "Leave the checks on, and name a CA file if one is needed.",
    ),
    (
        "B501",
        "Without checking the certificate, anyone in between can read and change the traffic.",
        "Leave verification on, and name a CA file if one is needed.",
    ),
    (
        "B50[234]",
        "Old versions of the protocol can be broken in transit.",
        "Use ssl.create_default_context, which allows TLS 1.2 and newer.",
    ),
    ("B505", "A key of this length can be computed.", "RSA from 2048 bits, elliptic curves from 224."),
    ("B506", "The loader builds any object that the document names.", "Use yaml.safe_load."),
    ("B507", "Unknown host keys are accepted, even an impostor's.", "Load known hosts and reject others."),
    ("B50[89]", "This version or level of SNMP sends readable data.", "Use SNMPv3 with authentication and privacy."),
    (
        "B60[1245]",
        "A value that reaches the shell can carry a command of its own.",
        "Pass a list of arguments and no shell.",
    ),
    (
        "B608",
        "A value put into SQL text can carry SQL of its own.",
        "Use the driver's parameters for values, a fixed list for names.",
    ),
    (
        "B609",
        "A file name that starts with a dash reads as an option.",
        "Expand the names yourself and put -- or ./ before them.",
    ),
    ("B61[01]", "A value put into SQL text can carry SQL of its own.", "Pass it through params."),
    ("B612", "A socket that takes logging configuration takes code.", "Give listen() a verify function."),
    ("B613", "The code looks different from what it does.", "Remove the direction characters."),
    ("B614", "Loading a model file runs code that it names.", "Use weights_only=True or safetensors."),
    ("B615", "The download changes when its owner changes it.", "Pin a revision by its hash."),
    ("B70[12]", "Values put into a page are not escaped.", "Turn autoescape on."),
)


def reason(code: str) -> tuple[str, str]:
    """Why bandit's test *code* matters and what to do; two empty texts if the table does not have it."""
    return next(((why, fix) for pattern, why, fix in _REASONS if fnmatchcase(code, pattern)), ("", ""))
