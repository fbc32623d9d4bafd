"""Where an HTTP exporter sends, and with what: addresses, headers, certificates, proxies. All is checked before use."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mqtrace.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

__all__ = ["HttpTarget", "check_files", "check_headers", "proxy_of", "split_authority"]

_PORTS: Final = {"http": 80, "https": 443}
# RFC 9110, 5.1: a field's name is a token; 5.5: what its value may hold.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7E\x80-\xFF]*")
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s/@\\]+)(?::(?P<port>[0-9]{1,5}))?")
# RFC 3986, 3.3: what may stand in a path as it is; the rest is percent-encoded by whoever writes the URL.
_PATH: Final = re.compile(r"[!-~]*")


@dataclass(frozen=True)
class HttpTarget:
    """A receiver. ``path`` begins with a slash and holds the query; files are PEM."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    encoding: str = "otlp_proto"
    compress: bool = True
    #: Seconds that a batch may take, all tries together.
    timeout_s: float = 10.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    #: Certificates to trust in place of the system's.
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """The part of the URL that may be shown: scheme, host and port, and the path without its query."""
        path = self.path.partition("?")[0]
        return f"{self.scheme}://{self.authority}{'/...' if '@' in path or '%40' in path else path}"

    def check_tls(self) -> None:
        """Raise ConfigurationError for files that do not hold certificates. Quick: the system's are not read."""
        if self.scheme != "https" or (self.certificate is None and self.client_certificate is None):
            return
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        what = f"certificate {self.certificate!r}"
        try:
            if self.certificate is not None:
                context.load_verify_locations(self.certificate)
            what = f"client certificate {self.client_certificate!r} with its key"
            if self.client_certificate is not None:
                context.load_cert_chain(self.client_certificate, self.client_key, password=_no_password)
        except OSError as error:  # an ssl.SSLError is one
            reason = (error.reason if isinstance(error, ssl.SSLError) else str(error)) or "it is not PEM"
            raise ConfigurationError(f"the {what} cannot be used, {reason}: write the path of a PEM file") from None

    def tls_context(self) -> ssl.SSLContext:
        """A context with the target's certificates: takes tens of milliseconds where the system's are read.

        Raises ssl.SSLError or OSError for a file that does not hold what it should.
        """
        import ssl

        context = ssl.create_default_context(cafile=self.certificate)
        if self.client_certificate is not None:
            context.load_cert_chain(self.client_certificate, self.client_key, password=_no_password)
        return context


def _no_password() -> str:
    # else OpenSSL asks for it at the terminal
    raise OSError("the client's key is encrypted: write a key without a password")


def split_authority(scheme: str, authority: str) -> tuple[str, int] | None:
    """Host (an IPv6 address without brackets) and port; None if it is neither."""
    match = _HOST.fullmatch(authority)
    if match is None:
        return None
    port = int(match["port"] or _PORTS[scheme])
    try:
        host = match["host"].strip("[]").encode("idna").decode("ascii") if not authority.isascii() else match["host"]
    except UnicodeError:
        return None
    return (host.strip("[]"), port) if 0 < port < 65536 else None


def is_path(path: str) -> bool:
    """Whether this can stand in a request's first line."""
    return _PATH.fullmatch(path) is not None


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ConfigurationError, which does not show the headers, for one that a request cannot hold."""
    for position, (name, value) in enumerate(headers.items(), 1):
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ConfigurationError(f"header {position} has a character that a header cannot hold")


def check_files(files: Mapping[str, str | None]) -> None:
    """Raise ConfigurationError for a file that cannot be read. ``files``: paths by the names of their settings."""
    for name, path in files.items():
        if path is not None and not (os.path.isfile(path) and os.access(path, os.R_OK)):
            raise ConfigurationError(f"{name}: the file {path!r} cannot be read: write the path of a PEM file")


def proxy_of(url: str) -> tuple[str, int, str | None]:
    """Host, port and Proxy-Authorization of a proxy's URL. ConfigurationError for one that is not spoken to in HTTP."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    users, _, authority = parts.netloc.rpartition("@")
    place = split_authority("http", authority)
    if parts.scheme != "http" or place is None:
        raise ConfigurationError("the proxy of the environment is not 'http://host:port', which is all that is spoken")
    user, _, password = users.partition(":")
    authorization = None
    if users:
        pair = f"{unquote(user)}:{unquote(password)}".encode()
        authorization = "Basic " + base64.b64encode(pair).decode("ascii")
    return (*place, authorization)
