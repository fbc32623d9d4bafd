"""Certificates for a receiver on 127.0.0.1, as strict as Python 3.13 wants them.

An authority says what its key is for, and a certificate names the key that signed it: ``ssl.VERIFY_X509_STRICT``.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["make"]

_EXTENSIONS = """\
subjectAltName=IP:127.0.0.1
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
authorityKeyIdentifier=keyid
subjectKeyIdentifier=hash
"""


def make(folder: Path) -> Path:
    """The folder with ca.pem, and host.pem, client.pem with host.key, client.key that it signed.

    other.pem is another authority's.
    """

    def run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        said = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        run("req", "-x509", *new, "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
            f"{name}.pem", *said)  # fmt: skip
    (folder / "extensions").write_text(_EXTENSIONS)
    for name in ("host", "client"):
        run("req", *new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "extensions", "-out", f"{name}.pem")  # fmt: skip
    return folder
