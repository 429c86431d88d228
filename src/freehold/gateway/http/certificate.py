"""The certificate a gateway shows to its clients, taken over again when its files change.

Handshakes are the standard library's (OpenSSL). Covered: TLS 1.2 and 1.3, a chain of certificates in PEM, renewal of
both files while connections run. Not covered: HTTP/2, client certificates, encrypted private keys; put a proxy in front
for those.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from freehold.errors import ConfigError
from freehold.gateway.config import TlsFiles

log = logging.getLogger("freehold.gateway")
RELOAD_EVERY_S = 2.0


class ServerCertificate:
    """What handshakes use: `context` goes to the server, `follow` keeps it up to date. `expires_s` says when the
    certificate in force ends, in seconds since 1970; None where that cannot be read.

    Raises `ConfigError` when the files cannot be read or do not belong together.
    """

    def __init__(self, files: TlsFiles) -> None:
        self.files = files
        self._seen = _stamp(files)
        self.context = self._current = _context(files)
        self.expires_s = expiry_of(files)
        self.context.sni_callback = self._choose

    async def follow(self) -> None:
        """Look for renewed files until cancelled."""
        while True:
            await asyncio.sleep(RELOAD_EVERY_S)
            await asyncio.to_thread(self.reload)

    def reload(self) -> bool:
        """Take over files that have changed; says whether it did. Files that cannot be used are logged and left: the
        certificate in force stays."""
        now = _stamp(self.files)
        if now == self._seen:
            return False
        try:
            # A new context: changing one that connections use is not supported.
            self._current = _context(self.files)
        except ConfigError as error:
            if now is not None:
                log.warning("the renewed certificate is not used: %s", error.message)
                self._seen = now
            return False
        self._seen, self.expires_s = now, expiry_of(self.files)
        log.info("the certificate was renewed: %s", self.files.certificate)
        return True

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # OpenSSL calls this in each handshake, also when the client names no host.
        connection.context = self._current


def check_certificate(files: TlsFiles) -> None:
    """Raises `ConfigError` when the files cannot be read or do not belong together."""
    _context(files)


def expiry_of(files: TlsFiles) -> float | None:
    """When the server's own certificate, the first of the chain, ends: seconds since 1970. None where its file is not
    there or is not a certificate.

    `ssl` tells that of a peer's certificate only, so the two fields are walked to: Certificate, RFC 5280, 4.1.
    """
    try:
        pem = Path(files.certificate).read_text("ascii", "replace")
        begin = pem.index("-----BEGIN CERTIFICATE-----")
        end = pem.index("-----END CERTIFICATE-----", begin)
        (_, certificate), *_ = _parts_of(
            ssl.PEM_cert_to_DER_cert(f"{pem[begin:end]}-----END CERTIFICATE-----")
        )
        (_, signed), *_ = _parts_of(certificate)
        fields = [part for tag, part in _parts_of(signed) if tag != _VERSION]
        _, (tag, until) = _parts_of(fields[_VALIDITY])
        text = until.decode("ascii")
        if tag == _UTC_TIME:  # years of two digits, from 1950 to 2049
            text = ("19" if text >= "50" else "20") + text
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except (OSError, ValueError, IndexError):
        return None


_VERSION, _UTC_TIME = 0xA0, 0x17
_VALIDITY = 3
"""Which of a certificate's signed fields it is, the version, which may be missing, not counted."""


def _parts_of(der: bytes) -> list[tuple[int, bytes]]:
    """What is in a sequence of DER: tags and contents. Raises `IndexError` and `ValueError` for what is not one."""
    parts = []
    while der:
        tag, size, at = der[0], der[1], 2
        if size & 0x80:  # the length of the length
            at += size & 0x7F
            size = int.from_bytes(der[2:at], "big")
        if at + size > len(der):
            raise ValueError("it ends too early")
        parts.append((tag, der[at : at + size]))
        der = der[at + size :]
    return parts


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for what, path in (("certificate", files.certificate), ("private key", files.key)):
        try:
            with Path(path).open("rb"):
                pass
        except OSError as error:
            raise ConfigError(
                f"the TLS {what} {path} cannot be read: {error.strerror}",
                hint='both files are PEM: [serve] tls_cert = "FULLCHAIN.pem", tls_key = "KEY.pem"',
            ) from None
    try:
        context.load_cert_chain(files.certificate, files.key, password=_refuse_password)
    except ssl.SSLError as error:
        why = (
            "they do not belong together" if "MISMATCH" in (error.reason or "") else "they are not valid PEM"
        )
        raise ConfigError(
            f"the TLS certificate {files.certificate} and key {files.key} cannot be used: {why}",
            hint="the certificate file starts with the server's own certificate, the chain follows it",
        ) from None
    return context


def _refuse_password() -> NoReturn:
    # Without this OpenSSL asks at the terminal, and a service would wait there for ever.
    raise ConfigError(
        "the TLS private key is encrypted", hint="decrypt it: openssl pkey -in KEY.pem -out PLAIN.pem"
    )


def _stamp(files: TlsFiles) -> tuple[int, int, int, int] | None:
    """What changes when either file is replaced or written; None while one of them is missing."""
    try:
        one, other = Path(files.certificate).stat(), Path(files.key).stat()
    except OSError:
        return None
    return one.st_mtime_ns, one.st_ino, other.st_mtime_ns, other.st_ino
