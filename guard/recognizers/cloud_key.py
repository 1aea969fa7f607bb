"""Keys of cloud providers by their shapes, where what varies looks random: keys of documentation are not found.

AWS (access key id, secret access key with its name), Google Cloud (API key, OAuth client secret, access token), Azure
(storage account key), Alibaba Cloud, Tencent Cloud, Baidu AI Cloud, DigitalOcean, Cloudflare.

Found:
    - aws_access_key_id = [AK~IAQYLPMN5HFIQR7XYA]
    - aws_secret_access_key = [kW~crlUX5JEDGM/LtmEENI/aVmYvHNif5zB+d9+ct]
    - ?key=[AI~zaSyB7x2Qw9LpK4vTn8RzE1mYcJdU6hGfSo3A]&q=1
    - client secret [GOC~SPX-4fQ9zLxT2mVbK7nRw8JcYp1sHd6G]
    - Account~Key=[GTd7FguoV8FWnFbB0JxXujr4qqaaABvvLOzAxzXMcU1vsHiQMaRiNTN9Ox98whGcTZc1UWb5fxzpF7STG7nVLe==]
    - 阿里云 AccessKey：[LT~AI5tQ7mXr2KvP9wZc4NbLd]
    - SecretId: [AK~IDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA]

Not found:
    - AKIAIOSFODNN7EXAMPLE
    - wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
    - aws_secret_access_key = YOUR_SECRET_ACCESS_KEY_GOES_HERE_12345678
    - AKIAAAAAAAAAAAAAAAAA
    - AIzaXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX
    - sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709
    - LTAI is how they begin
    - id 550e8400-e29b-41d4-a716-446655440000
"""

from __future__ import annotations

import re

from guard.recognizers.match import Match
from guard.recognizers.shapes import Shape, find_shapes, shape

_SHAPES = (
    shape("AKIA", "AKIA[A-Z2-7]{16}"),
    shape("ASIA", "ASIA[A-Z2-7]{16}"),
    shape("AIza", "AIza[0-9A-Za-z_-]{35}"),
    shape("GOCSPX-", "GOCSPX-[0-9A-Za-z_-]{28}"),
    shape("ya29.", r"ya29\.[0-9A-Za-z_-]{30,}"),
    shape("LTAI", "LTAI[0-9A-Za-z]{12,26}"),
    shape("AKID", "AKID[0-9A-Za-z]{32}"),
    shape("ALTAK", "(?:bce-v3/)?ALTAK-?[0-9A-Za-z]{20,}(?:/[0-9a-f]{40})?"),
    shape("dop_v1_", "dop_v1_[0-9a-f]{64}"),
    Shape("AccountKey=", re.compile("AccountKey=([A-Za-z0-9+/]{86}==)"), 4.0, 0.97),
)
_AWS_SECRET = re.compile(
    r"(?i:secret_?(?:access_?)?key)[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
)
_AWS = Shape("ecret", _AWS_SECRET, 4.0, 0.9)
_AWS_CAPITALS = Shape("ECRET", _AWS_SECRET, 4.0, 0.9)


class CloudKey:
    """Finds keys of cloud providers. Stateless."""

    name = "cloud_key"
    category = "secret.cloud_key"
    patterns = (*(one.pattern for one in _SHAPES), _AWS_SECRET)

    def find(self, text: str) -> list[Match]:
        """Every key in a normalised text."""
        return find_shapes((*_SHAPES, _AWS if _AWS.cue in text else _AWS_CAPITALS), text)
