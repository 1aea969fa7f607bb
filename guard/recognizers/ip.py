"""IP addresses, versions 4 and 6, that are routed on the Internet and may lead to a person or a household.

Private, loopback, documentation, multicast and other special ranges lead nowhere, and public resolvers belong to
everybody: they are not found. Four numbers with dots are as often a version or a section; the score is low unless
a word such as IP, 登录 or host stands near by.

Found:
    - 登录 IP：[93.184.216.34]
    - his IP address is [93.184.216.34].
    - ssh root@[93.184.216.34]
    - from host [2606:2800:220:1:248:1893:25c8:1946]
    - [2606:2800:220:1::1946]
    - 客户端地址：[2606:2800:220:1:7546:656f:25c8:1946]
    - client [93.184.216.34]:8080 connected

Not found:
    - IP 192.168.1.100
    - localhost is 127.0.0.1
    - the mask 255.255.255.0
    - ping 8.8.8.8
    - DNS 114.114.114.114
    - example 203.0.113.7
    - version 93.184.216.34
    - 版本 10.0.19041.1237
    - IP 93.184.216.340
    - 1.93.184.216.34
    - at 12:30:45 sharp
    - MAC 00:1A:2B:3C:4D:5E
    - std::vector and abc::def
    - ratio 1:2:3:4:5:6:7:8
    - IPv6 ::1 and fe80::1ff:fe23:4567:890a
    - 坐标 39.9042, 116.4074
"""

from __future__ import annotations

import ipaddress
import re

from guard.recognizers.labels import context, names_reference, near
from guard.recognizers.match import Match

_LABELLED = 0.75
_ALONE = 0.4
_SIX = 0.8

_FOUR_PARTS = re.compile(
    r"(?<![0-9A-Za-z_.])(?:[1-9][0-9]{0,2}\.)(?:[0-9]{1,3}\.){2}[0-9]{1,3}(?![0-9A-Za-z_]|\.[0-9])"
)
# Global unicast addresses are 2000::/3; a run of hexadecimal digits and colons is looked at once.
_SIX_PARTS = re.compile(r"(?<![0-9A-Za-z_.])(?<![0-9A-Fa-f:]:)[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{6,34}(?![0-9A-Za-z:])")
_CONTEXT = context(
    "地址|登录|登陆|客户端|服务器|主机|访问|来源",
    "ip|ipv4|ipv6|host|address|client|server|login|ssh|ping|from|remote|peer",
)
_RESOLVERS = frozenset(
    {
        "1.0.0.1", "1.1.1.1", "1.2.4.8", "4.2.2.1", "4.2.2.2", "8.8.4.4", "8.8.8.8", "9.9.9.9", "101.226.4.6",
        "114.114.114.114", "114.114.115.115", "119.29.29.29", "180.76.76.76", "208.67.220.220", "208.67.222.222",
        "210.2.4.8", "223.5.5.5", "223.6.6.6", "2001:4860:4860::8844", "2001:4860:4860::8888", "2606:4700:4700::1001",
        "2606:4700:4700::1111",
    }
)  # fmt: skip


class Ip:
    """Finds IP addresses. Stateless."""

    name = "ip"
    category = "pii.ip"
    patterns = (_FOUR_PARTS, _SIX_PARTS)

    def find(self, text: str) -> list[Match]:
        """Every address in a normalised text."""
        found = []
        if text.count(".") >= 3:
            for m in _FOUR_PARTS.finditer(text):
                if _routed(m[0]) and not names_reference(text, m.start()):
                    score = _LABELLED if near(_CONTEXT, text, *m.span()) else _ALONE
                    found.append(Match(m.start(), m.end(), score))
        if text.count(":") >= 2:
            found += [Match(m.start(), m.end(), _SIX) for m in _SIX_PARTS.finditer(text) if _routed(m[0])]
        return found


def _routed(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and str(address) not in _RESOLVERS
