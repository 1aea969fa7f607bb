"""JSON Web Tokens (RFC 7519) with a signature: whoever holds one is let in.

Three parts of base64url with dots between them; the first is a JSON object that names its algorithm.

Found:
    - Authorization: Bearer [eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk]
    - token=[eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UifQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB9dr8k7Yw1qkYt1A]&page=2
    - 令牌是[eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk]，请保密
    - ws://h/?t=[eyJhbGciOiJQUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk]
    - "[eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UifQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB9dr8k7Yw1qkYt1A]"

Not found:
    - A token begins with eyJhbGciOiJIUzI1NiJ9 as a rule.
    - eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ
    - eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.signature
    - eyJub3QiOiJhIGhlYWRlciJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk
    - com.example.application.Main
    - data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk
"""

from __future__ import annotations

import base64
import binascii
import json
import re

from guard.recognizers.match import Match

_SCORE = 0.97

_TOKEN = re.compile(r"(?<![A-Za-z0-9_-])(eyJ[A-Za-z0-9_-]{8,1024})\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{20,}")


class Jwt:
    """Finds signed JSON Web Tokens. Stateless."""

    name = "jwt"
    category = "secret.jwt"
    patterns = (_TOKEN,)

    def find(self, text: str) -> list[Match]:
        """Every token in a normalised text, in order."""
        if "eyJ" not in text:
            return []
        return [Match(m.start(), m.end(), _SCORE) for m in _TOKEN.finditer(text) if _is_header(m[1])]


def _is_header(part: str) -> bool:
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header
