r"""Private key blocks (RFC 7468, OpenSSH, PGP) and age keys: the whole block, or what there is of it.

Line ends may be written as ``\n``, as in JSON. A header without a key behind it is talk about keys. A block whose
end is missing is found as far as the key goes.

Found:
    - [-----BEGIN PRIVATE KEY----- MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06 -----END PRIVATE KEY-----]
    - 私钥：[-----BEGIN RSA PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY\n-----END RSA PRIVATE KEY-----]
    - "key": "[-----BEGIN EC PRIVATE KEY-----MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06-----END EC PRIVATE KEY-----]"
    - cut off: [-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAA]
    - [AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSPQ9W3K]

Not found:
    - A PEM file begins with -----BEGIN PRIVATE KEY----- and ends likewise.
    - -----BEGIN PRIVATE KEY----- ... -----END PRIVATE KEY-----
    - -----BEGIN PRIVATE KEY-----\n<your key here>\n-----END PRIVATE KEY-----
    - -----BEGIN PUBLIC KEY----- MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE= -----END PUBLIC KEY-----
    - -----BEGIN CERTIFICATE----- MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE= -----END CERTIFICATE-----
    - The private key is kept in a safe.
"""

from __future__ import annotations

import re

from guard.recognizers.match import Match

_SCORE = 0.99

_BEGIN = re.compile(r"-----BEGIN (?:[A-Z]{2,9} )?PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END (?:[A-Z]{2,9} )?PRIVATE KEY(?: BLOCK)?-----")
# Headers of encrypted and of PGP blocks, then the key.
_HEADERS = re.compile(r"(?:(?:\s|\\[nr])*[A-Z][A-Za-z-]{3,20}: ?[A-Za-z0-9 ,.:()/+-]{1,120}?(?=[\r\n]|\\[nr]))*")
_BODY = re.compile(r"(?:\\[nr]|[A-Za-z0-9+/=]|\s)*")
_WHOLE = re.compile(f"{_BEGIN.pattern}{_HEADERS.pattern}{_BODY.pattern}(?:{_END.pattern})?")
_AGE = re.compile(r"(?<![0-9A-Za-z])AGE-SECRET-KEY-1[0-9A-Z]{58}(?![0-9A-Za-z])")
# Characters of a key's text at least, and different ones among them.
_LEAST = 24
_DISTINCT = 10


class PrivateKey:
    """Finds private key blocks. Stateless."""

    name = "private_key"
    category = "secret.private_key"
    patterns = (_WHOLE, _AGE)

    def find(self, text: str) -> list[Match]:
        """Every block in a normalised text."""
        found = []
        if "PRIVATE KEY" in text:
            found = [match for begin in _BEGIN.finditer(text) if (match := _block(text, begin))]
        if "AGE-SECRET-KEY-1" in text:
            found += [Match(m.start(), m.end(), _SCORE) for m in _AGE.finditer(text)]
        return found


def _block(text: str, begin: re.Match[str]) -> Match | None:
    headers = _HEADERS.match(text, begin.end())
    body = _BODY.match(text, headers.end() if headers else begin.end())
    if body is None:
        return None
    # Words of a sentence are letters, too: a key's lines are longer.
    key = max(re.split(r"\s|\\[nr]", body[0]), key=len)
    if len(key) < _LEAST or len(set(key)) < _DISTINCT:
        return None
    end = _END.match(text, body.end())
    last = end.end() if end else begin.end() + len(text[begin.end() : body.end()].rstrip())
    return Match(begin.start(), last, _SCORE)
