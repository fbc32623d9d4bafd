"""The shop's receipts: a Celery task, and the worker that runs it, traced by ``mqtrace.instrument_celery``.

The broker is a folder (kombu's filesystem transport, see folder.py), so no server is needed. Some receipts are not
ready at the first attempt and are retried. Where the demo was given a RabbitMQ, each receipt goes on to the mail room,
see mail.py.
"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

from celery import Celery, signals  # type: ignore[import-untyped]  # Celery ships no types
from celery.worker import state  # type: ignore[import-untyped]  # as above

import mqtrace

from .folder import BROKER
from .stage import Stage, work

__all__ = ["make_app"]


def make_app(folder: str) -> Any:
    """The app that client and worker share: its broker is this folder."""
    app = Celery("shop", broker=BROKER)
    app.conf.update(
        broker_transport_options={
            "data_folder_in": folder,
            "data_folder_out": folder,
            "control_folder": folder,
            "polling_interval": 0.01,
        },
        task_default_queue="receipts",
        task_ignore_result=True,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,  # the stage speaks there
    )
    return app


def receipts(stage: Stage) -> None:
    """Sends a receipt for what was paid."""
    tracer = mqtrace.configure("receipts", sampler=1.0, exporter=stage.exporter)
    app = make_app(stage.options["receipts"])
    mqtrace.instrument_celery(app)
    to_mail_room = _mail_room(stage)

    @app.task(name="shop.receipt", bind=True, max_retries=3)  # type: ignore[untyped-decorator]  # as above
    def send_receipt(self: Any, order: int) -> None:
        if order % 10 == 5 and not self.request.retries:
            raise self.retry(countdown=0, exc=LookupError(f"the invoice of order {order} is not there yet"))
        with tracer.start_span("render receipt", attributes={"shop.order": order}):
            time.sleep(0.001)
        to_mail_room(order)
        stage.received()

    try:
        _run_worker(app, stage)
    finally:
        _erase(Path(stage.options["receipts"]))


def _erase(folder: Path) -> None:
    """Remove what was Celery's broker. Who sends may be at work for a moment still, and fill it again meanwhile."""
    until = time.monotonic() + 2
    while folder.exists() and time.monotonic() < until:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.02)


def _mail_room(stage: Stage) -> Any:
    """What passes a receipt on; nothing where there is no RabbitMQ."""
    if "amqp" not in stage.options:
        return lambda order: None
    from .mail import Sender

    return Sender(stage)


def _run_worker(app: Any, stage: Stage) -> None:
    """A worker of one thread, in this process, until the stage is to stop."""
    worker = app.Worker(
        pool="solo", quiet=True, loglevel="ERROR", without_gossip=True, without_mingle=True, without_heartbeat=True
    )
    signals.worker_ready.connect(stage.ready, weak=False)

    def stop_with_the_stage() -> None:
        while stage.running:
            stage.wait(0.1)
        state.should_stop = 0  # what Celery's own handler of SIGTERM does: a warm shutdown

    threading.Thread(target=stop_with_the_stage, daemon=True).start()
    worker.start()


if __name__ == "__main__":
    work({"receipts": receipts})
