"""URLs that users write: their options, and which part of a URL may be shown.

A URL may hold a password wherever a user thought it belongs: before an ``@``, in an option, behind a ``&`` that should
have been ``%26``. So errors, logs and the screen show nothing before the last ``@``, and nothing after the first ``?``
but the names and values of mqtrace's own options.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import groupby
from typing import Final
from urllib.parse import unquote

from .errors import ConfigurationError

__all__ = ["Url", "hide", "shown"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
# The end and the beginning of the part that may be shown; a user may have percent-encoded either.
_END: Final = re.compile(r"[?#&]|%3f|%23|%26", re.IGNORECASE)
_BEGIN: Final = re.compile(r"@|%40", re.IGNORECASE)
#: Schemes of mqtrace, which may be shown before an '@'.
_SCHEMES: Final = frozenset(
    ("clickhouse", "console", "file", "http", "https", "kafka", "memory", "none", "opentelemetry", "otlp")
)
_MOST_SHOWN: Final = 200
_PART: Final = 6
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


def shown(url: str) -> str:
    """``url`` without anything that may be a secret: ``kafka://...@host:9092/topic?...``."""
    text = url.strip()
    end = _END.search(text)
    stop = len(text) if end is None else end.start()
    users = list(_BEGIN.finditer(text))
    if users:
        scheme = text.partition(":")[0].lower()
        place = f"{scheme}://..." if scheme in _SCHEMES else "..."
        place += text[users[-1].start() : stop]
    else:
        place = text[:stop]
    if len(place) > _MOST_SHOWN:
        return place[:_MOST_SHOWN] + "..."
    return place if end is None else place + "?..."


def hide(text: str, secrets: Iterable[str]) -> str:
    """``text`` of another library with ``...`` in place of each of ``secrets`` and of each longer part of one.

    A library may quote the second half of a value (``unrecognized ... beginning at: ...``), so a secret of more than
    six characters is looked for in parts. One of up to three characters (``all``) is replaced where it is a word.
    """
    covered = [False] * len(text)
    for secret in filter(None, secrets):
        if len(secret) > _PART:
            parts = {secret[at : at + _PART] for at in range(len(secret) - _PART + 1)}
            ranges = [(at, at + _PART) for at in range(len(text) - _PART + 1) if text[at : at + _PART] in parts]
        else:
            bound = "" if len(secret) > 3 else "[0-9A-Za-z]"
            pattern = rf"(?<!{bound}){re.escape(secret)}(?!{bound})" if bound else re.escape(secret)
            ranges = [match.span() for match in re.finditer(pattern, text)]
        for start, stop in ranges:
            covered[start:stop] = [True] * (stop - start)
    return "".join(
        "..." if hidden else "".join(character for character, _ in run)
        for hidden, run in groupby(zip(text, covered, strict=True), key=lambda pair: pair[1])
    )


class Url:
    """``scheme:location?name=value&name=value``; values are percent-decoded, and a plus sign is a plus sign.

    ``label`` stands before the URL in errors, ``exporter=`` for one; ``example`` is what they say to write instead.
    Every method raises ConfigurationError: one sentence that shows of the URL only what :func:`shown` returns.
    """

    def __init__(self, text: str, *, label: str = "", example: str) -> None:
        self.shown = shown(text)
        self._label = label
        self._example = example
        match = _SCHEME.fullmatch(text.strip())
        if match is None:
            raise self.error(f"it is not a URL: write {example}")
        self.scheme = match[1].lower()
        location, mark, query = match[2].partition("?")
        if "#" in match[2]:
            raise self.error("it has a '#' in it: write it as %23")
        #: The text between the scheme and the first ``?``, as it was written.
        self.location = location
        #: The text after the first ``?``, as it was written.
        self.query = query if mark else None
        # By the rule above: an '@' behind a value may mean that the value is part of a password.
        self._may_show_values = _BEGIN.search(query) is None

    def error(self, sentence: str) -> ConfigurationError:
        """An error that shows this URL as it may be shown."""
        return ConfigurationError(f"{self._label}{self.shown!r}: {sentence}")

    def options(self, names: Collection[str]) -> dict[str, str]:
        """The options by their names, in their order in the URL. ``names``: those that may be shown."""
        options: dict[str, str] = {}
        for position, part in enumerate(self.query.split("&") if self.query else (), 1):
            name, sign, value = part.partition("=")
            name = unquote(name)
            if not name or not sign:
                raise self.error(f"its option {position} is not one: write 'name=value', and '&' in a value as %26")
            if name in options:
                which = repr(name) if name in names else f"of position {position}"
                raise self.error(f"the option {which} stands twice: write it once")
            options[name] = unquote(value)
        return options

    def only(self, names: Collection[str]) -> dict[str, str]:
        """The options, of which each name must be one of ``names``."""
        options = self.options(names)
        for position, name in enumerate(options, 1):
            if name not in names:
                examples = [f"'{name}=...'" for name in names]
                instead = " or ".join(examples) or f"'{self.scheme}:' without options"
                raise self.error(f"its option {position} is unknown: write {instead}")
        return options

    def choice(self, options: dict[str, str], name: str, allowed: Collection[str], default: str) -> str:
        """Remove one of mqtrace's own options from ``options``, and return it: a word of ``allowed``."""
        value = options.pop(name, default)
        if value not in allowed:
            raise self.error(f"{self._pair(name, value)} is unknown: write {', '.join(allowed)}")
        return value

    def boolean(self, options: dict[str, str], name: str) -> bool:
        """Remove one of mqtrace's own options from ``options``, and return it: true or false, false if left out."""
        value = options.pop(name, "false")
        if value.lower() not in _BOOLEANS:
            raise self.error(f"{self._pair(name, value)} is neither true nor false: write {name}=true or {name}=false")
        return _BOOLEANS[value.lower()]

    def _pair(self, name: str, value: str) -> str:
        return f"{name}={value[:40]!r}" if self._may_show_values and not _END.search(value) else f"{name}=..."
