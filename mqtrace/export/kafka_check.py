"""A check of librdkafka's options by librdkafka, before a span depends on them.

librdkafka parses each option by itself, but checks many of them only together: ``security.protocol=SASL_SSL`` is valid,
and is refused without a mechanism and a password beside it. So all options are tried at once, and single ones only if
that fails.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Final

# Not from confluent_kafka, where an application may have put a traced Producer.
from confluent_kafka.cimpl import KafkaException, Producer

from mqtrace.environment import Environment
from mqtrace.errors import ConfigurationError
from mqtrace.urls import Url, hide

from .kafka_url import KafkaTarget

__all__ = ["DEFAULTS", "ToDebug", "accepted", "check", "default_compression"]

log = logging.getLogger("mqtrace.export.kafka")

DEFAULTS: Final = {"client.id": "mqtrace", "linger.ms": "20", "log.connection.close": "false"}
_ADVICE: Final = "write an option of librdkafka's CONFIGURATION.md"
# What confluent_kafka writes before librdkafka's refusal of options that are valid one by one.
_TOGETHER: Final = "Failed to create producer: "


class ToDebug:
    """Takes librdkafka's log, which otherwise goes to stderr: what matters in it also comes as an error or a report.

    With ``debug=conf`` librdkafka logs its whole configuration, so ``secrets`` are hidden.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = secrets

    def log(self, level: int, message: str, *arguments: object) -> None:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s", hide(message % arguments if arguments else message, self._secrets))


def default_compression() -> str:
    """zstd; lz4 if this build of librdkafka lacks it."""
    return "lz4" if _refusal({"compression.type": "zstd"}) else "zstd"


def accepted(target: KafkaTarget, url: Url, environment: Environment) -> dict[str, str]:
    """The options of the target, of which librdkafka takes each by itself.

    ConfigurationError for one that it refuses; one of the environment is left out, with a warning.
    """
    options = target.values
    if _refusal(options) is None:
        return options
    for name, option in target.options.items():
        error = _fault_of(name, option.value)
        if error is None:
            continue
        if option.origin in environment.environ:
            environment.warn(f"{option.origin} {error}: it is ignored")
            del options[name]
        else:
            raise url.error(f"{option.origin} {error}: {_ADVICE}")
    return options


def check(options: Mapping[str, str]) -> None:
    """Raise ConfigurationError for options that librdkafka does not take. Nothing is connected to."""
    refusal = _refusal(options)
    if refusal is None:
        return
    # Not in an except block: the error must not hold librdkafka's, which quotes the options.
    for position, (name, value) in enumerate(options.items(), 1):
        error = _fault_of(name, value)
        if error is not None:
            raise ConfigurationError(f"the exporter's option {position} {error}: {_ADVICE}")
    # Each name is one of librdkafka's by now, so none is part of a password.
    words = hide(refusal.removeprefix(_TOGETHER), options.values())
    raise ConfigurationError(f"librdkafka refuses the exporter's options taken together, {words}: {_ADVICE}")


def _fault_of(name: str, value: str) -> str | None:
    """What is wrong with an option, or None. Its name and value are not shown: they may be parts of a password."""
    refusal = _refusal({name: value})
    if refusal is None or refusal.startswith(_TOGETHER):
        return None
    unknown = refusal.startswith("No such configuration property")
    return "is unknown to librdkafka" if unknown else "has a value that librdkafka does not take"


def _refusal(options: Mapping[str, str]) -> str | None:
    """Why librdkafka refuses the options, in its words, which may quote them; None if it takes them."""
    try:
        Producer({**DEFAULTS, **options, "logger": ToDebug(options.values())})
    except KafkaException as error:
        return str(error.args[0].str()).rstrip(".")
    except (TypeError, ValueError) as error:
        return str(error)
    return None
