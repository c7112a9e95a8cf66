"""Secrets that are known by their own text, whatever they are called.

No expression looks at a character more often than a fixed number of times, so that a hostile
text costs no more than a long one: a repeat either consumes what the search goes on behind, or
begins only where a run of its characters begins.
"""

SHIPPED = (
    (r"(?<![A-Za-z0-9])sk[-_][A-Za-z0-9_-]{16,}", ("sk-", "sk_")),  # OpenAI, Anthropic, Stripe
    (r"(?<![A-Za-z0-9])[rp]k_(?:live|test)_[A-Za-z0-9]{10,}", ("k_live_", "k_test_")),  # Stripe
    (
        r"(?<![A-Za-z0-9])gh[oprsu]_[A-Za-z0-9]{20,}",  # GitHub
        ("gho_", "ghp_", "ghr_", "ghs_", "ghu_"),
    ),
    (r"(?<![A-Za-z0-9])github_pat_[A-Za-z0-9_]{20,}", ("github_pat_",)),
    (r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{16,}", ("glpat-",)),  # GitLab
    (r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])", ("akia", "asia")),  # AWS
    (r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}", ("aiza",)),  # Google
    (r"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,}", ("xox",)),  # Slack
    # JSON web token, RFC 7519. What comes before it in its run of letters goes with it.
    (
        (
            r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]*+\.[A-Za-z0-9_-]{8,}+\.)"
            r"[A-Za-z0-9_-]*?eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]*+"
        ),
        ("eyj",),
    ),
    (r"\b(?i:bearer) ++[A-Za-z0-9._~+/=-]{12,}", ("bearer ",)),  # RFC 6750
    # RFC 7617: base64, which prose of as many letters in a row does not look like.
    (
        r"\b(?i:basic) ++(?=[A-Za-z]*+[0-9+/=])[A-Za-z0-9+/]{8,}+={0,2}",
        ("basic ",),
    ),
    # RFC 7468, and what OpenPGP and OpenSSL write; one without an end goes to the next, or on.
    (
        (
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?"
            r"(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|(?=-----BEGIN)|\Z)"
        ),
        ("private key",),
    ),
    # User and password in a URL, RFC 3986, up to the last @ before its path. A password may hold
    # a slash in spite of it, where no port stands; and the text may be cut before the @.
    (
        (
            r"(?<=://)[^\s/:@?#\[]*+:(?:[^\s/]+(?=@)"
            r"|(?!\d*+(?:[/?#]|\Z))(?:[^\s@\"'<>]{1,256}(?=@)|[^\s/@\"'<>]{4,}\Z))"
        ),
        ("://",),
    ),
    (r"(?<=://)[A-Za-z0-9_-]{20,}(?=@)", ("://",)),  # a token alone
    # User and password for curl
    (
        (
            r"(?:(?<=\s-u)|(?<=\s-u\s)|(?<=\s-u\s[\"'])|(?<=--user[\s=])|(?<=--user[\s=][\"']))"
            r"(?!\d+:\d+(?!\S))[^\s:\"'@/]{1,256}:[^\s\"']+"
        ),
        ("curl",),
    ),
)
"""Expressions, each with what a text has, in lower case, in which it finds something: to look
for these takes a thirtieth of the time that all the expressions take."""

DEFAULT_PATTERNS = tuple(pattern for pattern, _ in SHIPPED)
"""Regular expressions for secrets in text."""
