"""Python imports this as it starts, in every process below ``mqtrace run``.

It waits for the first client library to be imported, and does nothing else: a program that uses none pays for two small
files, and one that patches itself with gevent does so before any other module of mqtrace is imported. Another
sitecustomize is run, too. An interpreter without mqtrace goes on without it.
"""

from __future__ import annotations

import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGE = os.path.dirname(os.path.dirname(_HERE))

#: The default of MQTRACE_CLIENTS: the import names of the clients that mqtrace knows.
_CLIENTS = "confluent_kafka,pika,kombu,celery,aiokafka,kafka,aio_pika"


def _run_the_other_one() -> None:
    from importlib.machinery import PathFinder

    elsewhere = [folder for folder in sys.path if os.path.abspath(folder or os.curdir) != _HERE]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _activate(_module: object) -> None:
    try:
        import mqtrace.auto  # noqa: F401  # importing it is what is wanted
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "mqtrace":
            raise


def _wait() -> None:
    spec = importlib.util.spec_from_file_location("mqtrace.imports", os.path.join(_PACKAGE, "imports.py"))
    if spec is None or spec.loader is None:
        return
    imports = importlib.util.module_from_spec(spec)
    # the package finds it there, so that there is one finder
    sys.modules["mqtrace.imports"] = imports
    spec.loader.exec_module(imports)
    wanted = [name.strip().replace("-", "_") for name in (os.environ.get("MQTRACE_CLIENTS") or _CLIENTS).split(",")]
    known = _CLIENTS.split(",")
    if not set(wanted) <= set(known):
        wanted += known  # whichever is imported, the unknown name is said then: it may never be imported itself
    for name in dict.fromkeys(wanted):
        if name:
            imports.when_imported(name, _activate)


def _take_sigterm() -> None:
    """Handle SIGTERM, if nothing else does, in a child that multiprocessing spawns.

    It cannot be handled later if a server loads the application within its own handlers, as uvicorn's workers and its
    reloader do: the server puts the earlier handler back and sends the signal again, and the process is gone.
    """
    import signal

    if "--multiprocessing-fork" in sys.orig_argv and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, frame: object) -> None:
    import signal

    termination = sys.modules.get("mqtrace.export.termination")
    if termination is not None and termination.is_watched():
        termination.terminated(number, frame)
    else:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


if os.environ.get("MQTRACE_DISABLED", "").strip().lower() != "true":
    _wait()
    if os.environ.get("MQTRACE_SIGTERM", "").strip().lower() not in ("off", "false", "0"):
        _take_sigterm()
_run_the_other_one()
