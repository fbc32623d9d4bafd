"""Where a broker is, read from its URL: a host or the path of a socket, and a port. Never its user and password.

A broker's URL holds a user and a password, and people write them as they are: with ``@``, ``/``, ``?``, ``#`` or ``;``
in them, not percent-encoded. So a part that may belong to a password is left out: a span without an address is worth
more than one with a secret. These are left out:

- everything before the last ``@`` of the authority (RFC 3986, section 3.2),
- the whole address if an ``@`` stands after the authority, because the character that ends it may be in a password,
- an address that is not a host name, an IP address or an absolute path, or whose port is not a number.

No client library is imported here: kombu's ``Connection`` is read by its attributes, for kombu and for Celery.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

__all__ = ["LOCAL", "NOWHERE", "RABBITMQ", "Server", "server", "server_in_parts", "server_of", "system_of"]

#: `messaging.system` of RabbitMQ, and of any other broker of AMQP 0-9-1.
RABBITMQ: Final = "rabbitmq"
#: Systems without a server: a connection's host is only a default there.
LOCAL: Final = frozenset({"memory", "filesystem"})

# kombu's driver_type -> `messaging.system` (semantic conventions 1.44), where the two differ
_SYSTEMS: Final = {
    "amqp": RABBITMQ,
    "sqs": "aws_sqs",
    "azureservicebus": "servicebus",
    "gcpubsub": "gcp_pubsub",
}
# Their URLs name a project or an account, not a host.
_HOSTLESS: Final = frozenset({"gcpubsub"})

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# azurestoragequeues://credential@https://account.queue.core.windows.net
_NESTED: Final = re.compile(r"[^/?#]*@(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_AUTHORITY: Final = re.compile(r"[^/?#]*")
_SOCKETS: Final = frozenset({"socket", "unix"})
# A name of the DNS, of whatever script (RFC 1035, section 2.3.4: at most 255 octets), or of a container.
_HOST: Final = re.compile(r"[\w.-]{1,255}")
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)
_PATH: Final = re.compile(r"/[^@?\s]{0,254}")


class Server(NamedTuple):
    """`server.address` and `server.port`; None for what is not known."""

    address: str | None
    port: int | None


#: The server of a URL that has no address, or none that is surely not part of a password.
NOWHERE: Final = Server(None, None)


def server(url: object) -> Server:
    """Where the broker of this URL is.

    ``url``: a URL of any scheme, a host, ``host:port`` or an absolute path; several in a sequence, or in one text with
    ``;`` between URLs or ``,`` between hosts, of which the first counts.
    """
    alternates: Sequence[object] = url.split(";") if isinstance(url, str) else url if isinstance(url, Sequence) else ()
    if not alternates or _are_one(alternates):
        return NOWHERE
    first = alternates[0]
    if not isinstance(first, str):
        return NOWHERE
    return _of_one(first.strip()) if isinstance(url, str) else server(first)


def _are_one(alternates: Sequence[object]) -> bool:
    """Whether the alternates may be one URL with a ``;`` in its password."""
    others = [str(one) for one in alternates[1:]]
    return any("@" in one and ("://" not in one or "@" not in str(alternates[0])) for one in others)


def _of_one(url: str) -> Server:
    scheme, rest = "", url
    while match := _SCHEME.match(rest):
        scheme, rest = match[1].lower(), rest[match.end() :]
        if scheme in _HOSTLESS:
            return NOWHERE
        if nested := _NESTED.match(rest):
            rest = rest[nested.end() :]
    if not scheme and rest.startswith("/"):
        return _path(rest)
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # it matches the empty text too
    beyond = rest[len(authority) :]
    if "@" in beyond:
        return NOWHERE
    if scheme.rpartition("+")[2] in _SOCKETS:
        return _path(beyond.partition("?")[0])
    return _host_and_port(authority.rpartition("@")[2].partition(",")[0])


def _path(text: str) -> Server:
    return Server(text, None) if _PATH.fullmatch(text) else NOWHERE


def _host_and_port(text: str) -> Server:
    if _is_ip(text):  # of version 6 without brackets, as kombu has it
        return Server(text, None)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not text.endswith(f"]{rest}") or colon not in ("", ":") or not _is_ip(host):
            return NOWHERE
    else:
        host, _, port = text.partition(":")
        if not _HOST.fullmatch(host):
            return NOWHERE
    if not port:
        return Server(host, None)
    number = int(port) if _PORT.fullmatch(port) else 0
    return Server(host, number) if 0 < number < 65536 else NOWHERE


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def server_in_parts(host: object, port: object, virtual_host: object) -> Server:
    """Where a broker is, by the parts of its URL as a client has parsed it.

    If a password has an unencoded ``/``, a parser takes the user for the host, and the virtual host has an ``@``.
    """
    if "@" in str(virtual_host or ""):
        return NOWHERE
    address, port_of_host = server(host)
    if address is None or address.startswith("/"):
        return Server(address, None)
    port = port or port_of_host
    return Server(address, port if isinstance(port, int) and port > 0 else None)


# ---------------------------------------------------------------------- of a kombu.Connection


def system_of(connection: Any) -> str:
    """`messaging.system` of a kombu.Connection. Raises what kombu raises if there is no such transport."""
    name = str(getattr(connection.get_transport_cls(), "driver_type", "N/A")).lower()
    if name == "n/a":
        name = str(connection.transport_cls).lower()
    return _SYSTEMS.get(name, name)


def server_of(connection: Any) -> Server:
    """Where the broker of a kombu.Connection is, also before it has connected; after a failover the alternate.

    Raises what kombu raises if there is no such transport.
    """
    if system_of(connection) in LOCAL:
        return NOWHERE
    alternates = getattr(connection, "alt", None) or ()
    if _are_one(alternates):
        return NOWHERE
    address, port = server_in_parts(connection.hostname, connection.port, connection.virtual_host)
    default = getattr(connection.get_transport_cls(), "default_port", None)
    if address is not None and not address.startswith("/") and port is None and isinstance(default, int):
        port = default or None
    return Server(address, port)
