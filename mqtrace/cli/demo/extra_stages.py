"""The extra stages: asyncio and Celery where they can be, RabbitMQ where the demo is given one."""

from __future__ import annotations

import importlib.util
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from mqtrace.cli.trouble import CommandError

from .runner import Hop

__all__ = ["ExtraStages", "extra_stages"]

_NOTICES: Final = Hop("notices", "payments", "mqtrace.cli.demo.notices")
_RECEIPTS: Final = Hop("receipts", "payments", "mqtrace.cli.demo.receipts")
_MAIL: Final = Hop("mail", "receipts", "mqtrace.cli.demo.mail")
_INSTALL: Final = "pip install 'mqtrace[demo]'"


class ExtraStages(NamedTuple):
    """``options``: what the stages need to know. ``left_out``: a sentence for each part that is."""

    hops: Sequence[Hop]
    options: dict[str, str]
    left_out: Sequence[str]


@contextmanager
def extra_stages(amqp: str | None) -> Iterator[ExtraStages]:
    """The stages, and the folder that is their broker while the block runs. ``amqp``: a RabbitMQ's URL.

    CommandError if that is not a URL, nobody answers there, or what it needs is not installed.
    """
    missing = [name for name in ("aiokafka", "celery", "pika") if importlib.util.find_spec(name) is None]
    hops: list[Hop] = []
    options: dict[str, str] = {}
    left_out: list[str] = []
    if "aiokafka" in missing:
        missing.remove("aiokafka")
        left_out.append(f"the notices are left out, aiokafka is not installed: {_INSTALL}")
    else:
        hops.append(_NOTICES)
        options["notices"] = "notices"  # the topic
    if amqp is not None:
        if missing:
            raise CommandError(f"--amqp needs {' and '.join(missing)}: {_INSTALL}")
        from .mail import ask

        ask(amqp)
    elif "celery" in missing:
        left_out.append(f"the receipts are left out, Celery is not installed: {_INSTALL}")
        yield ExtraStages(hops, options, left_out)
        return
    with tempfile.TemporaryDirectory(prefix="mqtrace-demo-", ignore_cleanup_errors=True) as folder:
        hops.append(_RECEIPTS)
        options["receipts"] = folder
        if amqp is not None:
            hops.append(_MAIL)
            options |= {"amqp": amqp, "queues": f"demo-{uuid.uuid4().hex[:6]}"}
        yield ExtraStages(hops, options, left_out)
