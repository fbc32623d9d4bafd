"""A Kafka that wants passwords and certificates: what it is told, and what its clients are told."""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented, not in __all__
    AdminClient,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

__all__ = ["PASSWORD", "SecureKafka"]

#: Of the user shop. An equals sign, a space and a percent sign are what files, shells and URLs take apart.
PASSWORD = "pa55=w ord%41"

_PROPERTIES = """\
listeners=SASL_PLAINTEXT://{plain},SASL_SSL://{scram},SSL://{ssl}
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_shop="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.ssl.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={host}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
"""


class SecureKafka:
    """``addresses`` and ``options`` (librdkafka's) by the name of a protocol."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        names = ("SASL_PLAINTEXT", "SASL_SSL", "SSL")
        with contextlib.ExitStack() as stack:  # all of them open at once, or two may be the same
            servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
            self.addresses = {
                name: f"127.0.0.1:{server.getsockname()[1]}" for name, server in zip(names, servers, strict=True)
            }
        #: The plain listener, by which a test reads topics.
        self.bootstrap = ""
        self._admin: Any = None
        host = folder / "host.both.pem"  # Kafka wants the key and the certificate in one file
        host.write_bytes((certificates / "host.key").read_bytes() + (certificates / "host.pem").read_bytes())
        self.properties = folder / "more.properties"
        plain, scram, ssl = self.addresses.values()
        text = _PROPERTIES.format(
            plain=plain, scram=scram, ssl=ssl, password=PASSWORD, host=host, authority=certificates / "ca.pem"
        )
        self.properties.write_text(text, encoding="utf-8")
        os.chmod(self.properties, 0o600)
        user = {"sasl.username": "shop", "sasl.password": PASSWORD}
        trust = {"ssl.ca.location": str(certificates / "ca.pem")}
        self.options: dict[str, dict[str, str]] = {
            "SASL_PLAINTEXT": {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", **user},
            "SASL_SSL": {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", **user, **trust},
            "SSL": {
                "security.protocol": "SSL",
                "ssl.certificate.location": str(certificates / "client.pem"),
                "ssl.key.location": str(certificates / "client.key"),
                **trust,
            },
        }

    def begin(self, bootstrap: str) -> None:
        """Once it runs: the user of SCRAM is not of the file but of the cluster."""
        self.bootstrap = bootstrap
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        wanted = UserScramCredentialUpsertion("shop", credential, PASSWORD.encode())
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        (done,) = self._admin.alter_user_scram_credentials([wanted]).values()
        done.result(timeout=20)

    def make_topic(self) -> str:
        """The name of a new topic."""
        name = f"topic-{uuid.uuid4().hex[:12]}"
        self._admin.create_topics([NewTopic(name, 1, 1)])[name].result(timeout=20)
        return name

    def end(self) -> None:
        """Before it is stopped: a client of it would go on looking for it, beside the tests that come next."""
        self._admin = None
