"""librdkafka's options, security included, from the three places where users keep them.

The URL wins over the file that its ``config`` names, and the file over the environment: ``MQTRACE_KAFKA_SASL_PASSWORD``
is ``sasl.password``. A password in a URL is seen by everyone who lists processes or reads a deployment; a secret store
fills a file or a variable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mqtrace.environment import Environment
from mqtrace.urls import Url, shown

__all__ = ["HOSTS", "KafkaOption", "from_environment", "from_file", "secrets"]

_PREFIX: Final = "MQTRACE_KAFKA_"
#: These stand in the URL itself, before its path.
HOSTS: Final = ("bootstrap.servers", "metadata.broker.list")
_MOST_BYTES: Final = 1 << 20
# Their values are words of the protocol, which librdkafka's errors use too: hiding them would make an error unreadable.
# So would hiding paths, whose folders are called 'certificates'.
_PUBLIC: Final = frozenset(("security.protocol", "sasl.mechanism", "sasl.mechanisms", "compression.type", "acks"))


@dataclass(frozen=True)
class KafkaOption:
    """One option. ``origin``: where it was written, without its name or value, which may be secret."""

    value: str
    origin: str

    def __repr__(self) -> str:
        return f"<KafkaOption of {self.origin}>"


def from_environment(environment: Environment) -> dict[str, KafkaOption]:
    """``MQTRACE_KAFKA_...`` by librdkafka's names: an underscore is a dot. A name without a dot is not librdkafka's."""
    options: dict[str, KafkaOption] = {}
    for variable in environment.environ:
        name = variable.removeprefix(_PREFIX).lower().replace("_", ".")
        value = environment.text(variable)
        if not variable.startswith(_PREFIX) or "." not in name or value is None:
            continue
        if name in HOSTS:
            environment.warn(f"{variable} is not used: write the hosts into the exporter's URL")
        else:
            options[name] = KafkaOption(value, variable)
    return options


def from_file(path: str, url: Url) -> dict[str, KafkaOption]:
    """Lines ``name=value``, as in the properties files of Kafka's tools; ``#`` begins a comment.

    ConfigurationError, which shows nothing of the file, for one that cannot be read or holds something else.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
        if len(content) > _MOST_BYTES:
            raise OSError(f"it is larger than {_MOST_BYTES} bytes")
    except (OSError, ValueError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"
        what = f"its option config: the file {shown(path)!r} cannot be read, {reason}"
        raise url.error(f"{what}: write the path of a file with lines 'name=value'") from None
    options: dict[str, KafkaOption] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, sign, value = (part.strip() for part in line.partition("="))
        if not line.strip() or line.lstrip()[0] in "#!":
            continue
        origin = f"line {number} of {os.path.basename(shown(path))}"
        if not sign or not name:
            raise url.error(f"{origin} is not an option: write 'name=value'")
        if name in options:
            raise url.error(f"{origin} has an option that stands above: write it once")
        if name not in HOSTS:
            options[name] = KafkaOption(value, origin)
    return options


def secrets(options: Mapping[str, str]) -> list[str]:
    """The values that must not be shown: all but a few that are known to be harmless."""
    return [value for name, value in options.items() if name not in _PUBLIC and not name.endswith(".location")]
