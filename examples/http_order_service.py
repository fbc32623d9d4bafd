"""An order service over plain HTTP, and the stock service that it calls: one trace, three spans and a query.

No broker is needed: the context comes out of a request's headers with ``extract`` and goes into the next request's with
``inject``. Each service has a tracer of its own, as it would have in a process of its own.

    python -m examples.http_order_service
"""

from __future__ import annotations

import json
import sqlite3
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mqtrace

orders = mqtrace.Tracer("orders")
stock = mqtrace.Tracer("stock")


class Stock(BaseHTTPRequestHandler):
    """GET /pizza: how many there are."""

    def do_GET(self) -> None:
        context = stock.extract(self.headers)
        with stock.start_span(f"GET {self.path}", kind="server", parent=context):
            with stock.start_span("SELECT count", kind="client", attributes={"db.system.name": "sqlite"}):
                database = sqlite3.connect(":memory:")
                count = database.execute("SELECT 40 + 2").fetchone()[0]
                database.close()
            answer(self, {"count": count})

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Orders(BaseHTTPRequestHandler):
    """POST /order: ask the stock, and say yes."""

    def do_POST(self) -> None:
        context = orders.extract(self.headers)
        with orders.start_span("POST /order", kind="server", parent=context) as span:
            order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            span.set_attribute("order.item", order["item"])
            with orders.start_span("ask the stock", kind="client"):
                request = urllib.request.Request(f"http://127.0.0.1:{stock_server.server_port}/{order['item']}")
                headers: dict[str, str] = {}
                orders.inject(headers)
                for name, value in headers.items():
                    request.add_header(name, value)
                with urllib.request.urlopen(request, timeout=5) as response:
                    span.set_attribute("order.in_stock", json.load(response)["count"])
            answer(self, {"accepted": True})

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def answer(handler: BaseHTTPRequestHandler, content: dict[str, object]) -> None:
    """Send JSON."""
    body = json.dumps(content).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


stock_server = ThreadingHTTPServer(("127.0.0.1", 0), Stock)
orders_server = ThreadingHTTPServer(("127.0.0.1", 0), Orders)


def main() -> None:
    """Start both, order a pizza as a client of somebody else's trace, and stop."""
    for server in (stock_server, orders_server):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    order = urllib.request.Request(
        f"http://127.0.0.1:{orders_server.server_port}/order",
        data=json.dumps({"item": "pizza"}).encode(),
        headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    )
    with urllib.request.urlopen(order, timeout=10) as response:
        print(response.read().decode())
    for server in (orders_server, stock_server):
        server.shutdown()
    orders.shutdown()
    stock.shutdown()


if __name__ == "__main__":
    main()
