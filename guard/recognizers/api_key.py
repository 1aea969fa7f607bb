"""API keys and tokens of services by their shapes, and what a text calls a key or a password if it looks random.

OpenAI, Anthropic and compatible services, GitHub, GitLab, Slack, Stripe, Hugging Face, npm, PyPI, SendGrid, Telegram,
Shopify, Groq, xAI, and what is named and looks random, as in ``api_key = "..."``. Placeholders and values that come
from somewhere else are not found.

Found:
    - OPENAI_API_KEY=[sk~-proj-a8Kx2LmQ9vTz4RwY7nBc3Jd6Hf1Gs5Pe0Uq]
    - 我的密钥是[sk-7d1f9a3c5e8b2046d9c1a7e3f5b80264]
    - [ghp~_R7kX2mQ9vTz4LwY8nBc3Jd6Hf1Gs5Pe0UqAb]
    - glpat: [glpat~-x7Kq2Lm9Vb4Nw8Zt3Rf6]
    - [xoxb~-264918370425-826104937518-Qm7xK2Lv9TzR4wYnBc3JdHf6]
    - Stripe [sk_~live_4eC39HqLyjWDarjtT1zdp7dc]
    - token [hf~_QxLmRtVbNwZkYpSdGjMcXaHeWuBiOvTyKl]
    - [npm~_x7Kq2Lm9Vb4Nw8Zt3Rf6Yp1Sd5Gj0Mc7XaQe]
    - api_key = "[a8Kx2LmQ9vTz4RwY7nBc3Jd6]"
    - 数据库密码：[T7#kLm9$Qx2vR8wZ]
    - password: [hX8!qT2@vL5#nB9z]

Not found:
    - api_key = "YOUR_API_KEY_GOES_HERE"
    - OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx
    - api_key = os.environ["OPENAI_API_KEY"]
    - password: ${DATABASE_PASSWORD_FROM_ENV}
    - the token sk-learn is a library, scikit-learn-extra-package-name
    - token: 550e8400-e29b-41d4-a716-446655440000
    - sk-toggleable__label-arrow:before
    - password = getpass.getpass("Password: ")
    - git commit 9fceb02d0ae598e95dc970b74767f19372d61af8
    - secretary: Margaret-Thompson-Williams
    - 密码：请输入您的登录密码
    - task-a8Kx2LmQ9vTz4RwY7nBc3Jd6
"""

from __future__ import annotations

import re

from guard.recognizers.entropy import looks_random
from guard.recognizers.match import Match
from guard.recognizers.shapes import find_shapes, shape

_NAMED = 0.7

_SHAPES = (
    shape("sk-", "sk-(?=[0-9A-Za-z_-]*[0-9])[0-9A-Za-z_-]{20,}", 3.4),
    shape("ghp_", "ghp_[0-9A-Za-z]{36}"),
    shape("gho_", "gho_[0-9A-Za-z]{36}"),
    shape("ghu_", "ghu_[0-9A-Za-z]{36}"),
    shape("ghs_", "ghs_[0-9A-Za-z]{36}"),
    shape("ghr_", "ghr_[0-9A-Za-z]{36}"),
    shape("github_pat_", "github_pat_[0-9A-Za-z_]{60,}"),
    shape("glpat-", "glpat-[0-9A-Za-z_-]{20,}"),
    shape("xox", "xox[abeprs]-[0-9A-Za-z-]{20,}"),
    shape("k_live_", "[sr]k_live_[0-9A-Za-z]{16,}"),
    shape("hf_", "hf_[A-Za-z]{34}"),
    shape("npm_", "npm_[0-9A-Za-z]{36}"),
    shape("pypi-", "pypi-[0-9A-Za-z_-]{60,}"),
    shape("SG.", r"SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}"),
    shape(":AA", "[0-9]{8,10}:AA[0-9A-Za-z_-]{33}"),
    shape("shp", "shp(?:at|ca|pa|ss)_[0-9a-f]{32}"),
    shape("gsk_", "gsk_[0-9A-Za-z]{52}"),
    shape("xai-", "xai-[0-9A-Za-z]{60,}"),
)

_NAMES = re.compile(
    r"(?:(?<![a-z])"
    r"(?:(?:api|access|auth|secret|private|client|app)[_ -]?(?:key|token|secret)|passw(?:or)?d|pwd|token|secret)"
    r"|密钥|秘钥|密码|口令|令牌)[\"']?(?: ?(?:是|为|[:=]|=>|is) ?)[\"']?([!-~]{12,256})",
    re.IGNORECASE,
)
_CUES = ("key", "token", "secret", "pass", "pwd", "密", "秘钥", "口令", "令牌")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# A password made up by a program has all of these; words, paths, calls and versions lack some.
_KINDS = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"))
_NOT_A_VALUE = re.compile(r"[(\[{<]|://|[0-9A-Za-z_]\.[A-Za-z_]")
_LEAST_BITS = 3.3


class ApiKey:
    """Finds API keys, tokens and named passwords. Stateless."""

    name = "api_key"
    category = "secret.api_key"
    patterns = (*(one.pattern for one in _SHAPES), _NAMES)

    def find(self, text: str) -> list[Match]:
        """Every key in a normalised text; one that has a shape may be found by its name, too."""
        found = find_shapes(_SHAPES, text)
        folded = text.lower()
        if any(cue in folded for cue in _CUES):
            found += [match for m in _NAMES.finditer(text) if (match := _named(m))]
        return found


def _named(match: re.Match[str]) -> Match | None:
    """The value behind a name, without the quotation mark and the punctuation at its end."""
    value = re.split(r"[\"',;&]", match[1], maxsplit=1)[0].rstrip(".!?")
    if len(value) < 12 or _NOT_A_VALUE.search(value) or _UUID.fullmatch(value):
        return None
    if not all(kind.search(value) for kind in _KINDS) or not looks_random(value, _LEAST_BITS):
        return None
    return Match(match.start(1), match.start(1) + len(value), _NAMED)
