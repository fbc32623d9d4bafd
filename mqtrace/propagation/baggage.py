"""W3C Baggage: ``key=value`` members in one header (section 3.3).

- ``key`` is a token of RFC 9110; it is not percent-encoded. ``value`` is ``*baggage-octet``: printable ASCII without
  space, quote, comma, semicolon and backslash; everything else, and ``%`` itself, is percent-encoded UTF-8. A plus sign
  is a plus sign. Bytes that are not UTF-8 are read as U+FFFD.
- Properties (``;name=value`` after a value, section 3.3.1.3) mean nothing to us and are passed on as they came, with
  the value: whoever sets a new one sets it without them.
- 64 members and 8192 bytes must pass whole (section 3.3.2); of more than our limits, the first ones stay.
- The specification does not say that one bad member spoils the others: it is left out, and the message counts as
  malformed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from mqtrace.carriers import Carrier
from mqtrace.core import Context, Frame

from ._protocol import MalformedContext

__all__ = ["MAX_BYTES", "MAX_MEMBERS", "Baggage", "ValueWithProperties", "decode", "encode", "is_key", "unescape"]

MAX_BYTES: Final = 8192
MAX_MEMBERS: Final = 180

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_OCTETS: Final = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_member: Final = re.compile(rf"[ \t]*({_TOKEN})[ \t]*=[ \t]*({_OCTETS})[ \t]*(?:;(.*))?", re.DOTALL).fullmatch
_PROPERTY: Final = rf"[ \t]*{_TOKEN}[ \t]*(?:=[ \t]*{_OCTETS}[ \t]*)?"
_are_properties: Final = re.compile(rf"{_PROPERTY}(?:;{_PROPERTY})*").fullmatch
_stray: Final = re.compile(r"%(?![0-9a-fA-F]{2})").search
_escapes: Final = re.compile(r"(?:%[0-9a-fA-F]{2})+").sub
_UNENCODED: Final = "!#$&'()*+-./:<=>?@[]^_`{|}~"  # every baggage-octet but the percent sign

#: Whether this text may be the key of a member.
is_key: Final = re.compile(_TOKEN).fullmatch


class ValueWithProperties(str):
    """A member's value, with the text of the properties that it came with."""

    __slots__ = ("properties",)

    properties: str

    @classmethod
    def of(cls, value: str, properties: str) -> ValueWithProperties:
        instance = cls(value)
        instance.properties = properties
        return instance

    def __reduce__(self) -> tuple[object, ...]:
        return ValueWithProperties.of, (str(self), self.properties)


def unescape(text: str) -> str:
    """Percent-decoded UTF-8: a percent sign that begins no escape stays, and bytes that are not UTF-8 become U+FFFD."""
    if "%" not in text:
        return text
    if _stray(text):
        # urllib takes 0.2 us for every stray percent sign, which is 2 ms for a header full of them
        return _escapes(lambda run: bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "replace"), text)
    return unquote(text, errors="replace")


def decode(text: str) -> tuple[dict[str, str], bool]:
    """The members of a header, of each key the last one, and whether all of them were well-formed."""
    members: dict[str, str] = {}
    is_well_formed = True
    if len(text) > MAX_BYTES:
        # cut behind a whole member: the comma may be the character right after the limit
        text = text[: max(text.rfind(",", 0, MAX_BYTES + 1), 0)]
    for number, part in enumerate(text.split(",", MAX_MEMBERS)):
        if number == MAX_MEMBERS:
            break
        match = _member(part)
        if match:
            key, value, properties = match.groups()
            members[key] = unescape(value)
            if properties and not properties.isspace():
                if _are_properties(properties):
                    members[key] = ValueWithProperties.of(members[key], properties.rstrip(" \t"))
                else:
                    is_well_formed = False
        elif part.strip(" \t"):
            is_well_formed = False
    return members, is_well_formed


def encode(members: Mapping[str, str]) -> str:
    """The header of these members. Invalid ones (a key that is not a token) and too many are left out."""
    parts: list[str] = []
    length = -1
    for key, value in members.items():
        if isinstance(key, str) and isinstance(value, str) and is_key(key):
            part = f"{key}={quote(value, safe=_UNENCODED, errors='replace')}"
            if isinstance(value, ValueWithProperties):
                part += f";{value.properties}"
            if len(parts) < MAX_MEMBERS and length + 1 + len(part) <= MAX_BYTES:
                parts.append(part)
                length += 1 + len(part)
    return ",".join(parts)


class Baggage:
    """The propagator of ``baggage``."""

    name = "baggage"
    fields: tuple[str, ...] = ("baggage",)
    prefix: str | None = None

    def extract(self, carrier: Carrier, context: Context) -> Context:
        text = carrier.get("baggage")
        if text is None:
            if "baggage" in carrier.names():
                raise MalformedContext("baggage is not text")
            return context
        members, is_well_formed = decode(text)
        extracted = context
        if members:
            merged = {**context.baggage, **members} if context.baggage else members
            extracted = Context(context.identity, context.state, MappingProxyType(merged), context.decision)
        if not is_well_formed:
            raise MalformedContext("baggage has a malformed member", extracted)
        return extracted

    def inject(self, carrier: Carrier, context: Frame) -> None:
        text = encode(context.baggage) if context.baggage else ""
        if text:
            carrier.set("baggage", text)
