"""``tracestate``: a list of ``key=value``, the most recent first (W3C Trace Context level 2, section 3.3).

- At most 32 members; empty ones and whitespace around them are allowed and mean nothing (3.3.1.1).
- ``key = ( lcalpha / DIGIT ) 0*255 ( lcalpha / DIGIT / "_" / "-" / "*" / "/" / "@" )`` (3.3.1.3.1)
- ``value = 0*255(chr) nblk-chr``: printable ASCII without comma and equals sign, not ending in a space (3.3.1.3.2).
- One bad member makes the list bad. A changed member moves to the front (3.5).
- When it must be shortened, whole members go, those over 128 characters first, then from the end (3.3.1.5).

A state is kept as one text in canonical form: no empty members, no whitespace, each key once.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["LIMIT", "MAX_MEMBERS", "get_member", "parse", "remove_member", "set_member", "truncate"]

#: Characters that every implementation must be able to pass on (3.3.1.5); a state that we change stays within them.
LIMIT: Final = 512
MAX_MEMBERS: Final = 32
_LONG: Final = 128
#: No list of 32 members is longer: a key and a value of 256 characters each, and one space around each separator.
_LONGEST: Final = MAX_MEMBERS * (256 + 1 + 256 + 3)
#: How many may stand between commas, empty ones too.
_PARTS: Final = 8 * MAX_MEMBERS

_KEY: Final = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_VALUE: Final = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_is_key: Final = re.compile(_KEY).fullmatch
_is_value: Final = re.compile(_VALUE).fullmatch
_is_member: Final = re.compile(f"{_KEY}={_VALUE}").fullmatch
_is_canonical: Final = re.compile(f"{_KEY}={_VALUE}(?:,{_KEY}={_VALUE}){{0,31}}").fullmatch


def parse(text: str) -> str | None:
    """The canonical text of a received header, empty if it has no members; None if it is malformed.

    Of a repeated key the first member, the most recent one, stays.
    """
    if len(text) > _LONGEST or text.count(",") >= _PARTS:
        return None
    if _is_canonical(text) and ("," not in text or _is_unique(text)):
        return text
    members: dict[str, str] = {}
    count = 0
    for part in text.split(","):
        member = part.strip(" \t")
        if not member:
            continue
        count += 1
        if count > MAX_MEMBERS or not _is_member(member):
            return None
        members.setdefault(member.partition("=")[0], member)
    return ",".join(members.values())


def _is_unique(text: str) -> bool:
    keys = [member.partition("=")[0] for member in text.split(",")]
    return len(set(keys)) == len(keys)


def get_member(state: str | None, key: str) -> str | None:
    """The value of a member of a canonical state; None if there is none of this key."""
    if state is None or key not in state:
        return None
    start = key + "="
    for member in state.split(","):
        if member.startswith(start):
            return member[len(start) :]
    return None


def set_member(state: str | None, key: str, value: str) -> str:
    """A canonical state with this member at its front, shortened to 32 members and :data:`LIMIT` characters.

    Raises ValueError for a key or value that the grammar does not allow.
    """
    if not _is_key(key) or not _is_value(value):
        raise ValueError(f"not a tracestate member: {key!r}={value!r}")
    member = f"{key}={value}"
    rest = remove_member(state, key)
    if rest is None:
        return member
    if rest.count(",") >= MAX_MEMBERS - 1:
        rest = ",".join(rest.split(",")[: MAX_MEMBERS - 1])
    text = f"{member},{rest}"
    if len(text) <= LIMIT:
        return text
    shorter = truncate(rest, LIMIT - len(member) - 1)
    return f"{member},{shorter}" if shorter else member


def remove_member(state: str | None, key: str) -> str | None:
    """A canonical state without the member of this key; None if no member is left."""
    if not state:
        return None
    if key not in state:
        return state
    start = key + "="
    return ",".join([member for member in state.split(",") if not member.startswith(start)]) or None


def truncate(state: str, limit: int = LIMIT) -> str:
    """At most ``limit`` characters of a canonical state, in whole members."""
    if len(state) <= limit:
        return state
    members = state.split(",")
    length = len(state)
    for only_long in (True, False):
        for at in range(len(members) - 1, -1, -1):
            if length <= limit:
                return ",".join(members)
            if not only_long or len(members[at]) > _LONG:
                length -= len(members.pop(at)) + 1
    return ",".join(members)
