"""The options of ``wrap``: one that the client does not have, or that cannot be one, is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from mqtrace.errors import ConfigurationError

__all__ = ["expect"]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_servers(value: object) -> bool:
    return _is_text(value) or (isinstance(value, list | tuple) and all(map(_is_text, value)))


def _is_switch(value: object) -> bool:
    return isinstance(value, bool) or str(value).lower() in ("true", "false")


#: Whether a value can be the option, and what it is. None leaves each out.
_VALUES: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "on_delivery": (callable, "a function: write the one that the client calls with the error and the message"),
    "client_id": (_is_text, "a name: write it as text"),
    "group_id": (_is_text, "a name: write it as text"),
    "bootstrap_servers": (_are_servers, "an address: write 'host:9092', or a list of those"),
    "delivery_report_only_error": (_is_switch, "a switch: write True or False"),
}


def expect(options: Mapping[str, Any], known: Iterable[str], advice: str) -> None:
    """Raise ConfigurationError for an option that is not ``known``, and for a value that cannot be that option.

    ``advice``: what to write instead of what is not known.
    """
    unknown = options.keys() - set(known)
    if unknown:
        raise ConfigurationError(f"wrap() does not know {sorted(unknown)}: {advice}")
    for name, value in options.items():
        can_be, what = _VALUES[name]
        if value is not None and not can_be(value):
            raise ConfigurationError(f"{name}={value!r} is not {what}")
