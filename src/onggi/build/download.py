"""ADD of a URL: fetched over HTTP or HTTPS, within limits, verified if a checksum is given.

A redirect is followed only to HTTP or HTTPS, and never from HTTPS to HTTP. Proxies and trusted
certificates are those of our environment (HTTPS_PROXY, SSL_CERT_FILE).
"""

from __future__ import annotations

import os
import posixpath

from onggi.build.errors import BuildError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.client import HTTPResponse
    from typing import BinaryIO
    from urllib.request import BaseHandler

    from onggi.build.bench import Bench

_CHUNK = 1 << 20
_LARGEST = 16 << 30
_TIMEOUT_SECONDS = 60
_UNNAMED = "__unnamed__"


class Download:
    """One URL of one ADD; fetched at most once, and only if its digest is not given."""

    def __init__(self, bench: Bench, url: str, checksum: str) -> None:
        from urllib.parse import urlsplit

        parts = urlsplit(url)
        is_git = parts.path.endswith(".git") or ".git#" in url
        if parts.scheme not in ("http", "https") or is_git:
            raise BuildError(f"{url}: git repositories are not supported yet")
        self._bench = bench
        self._checksum = _checked(checksum)
        self._path = ""
        self.url = url
        self.name = posixpath.basename(parts.path) or _UNNAMED
        self.time_ns = 0

    def digest(self) -> str:
        """Return the digest of the contents; that is the checksum if there is one."""
        if not self._checksum:
            self._checksum = self._fetch()
        return self._checksum

    def open(self) -> BinaryIO:
        """Open the fetched contents.

        Raises: BuildError: they cannot be had, or differ from the checksum.
        """
        if not self._path:
            found = self._fetch()
            if self._checksum and found != self._checksum:
                raise BuildError(f"{self.url}: digest mismatch {found}: expected {self._checksum}")
        return open(self._path, "rb")  # the caller's to close

    def _fetch(self) -> str:
        from urllib.error import HTTPError, URLError

        try:
            with self._get() as response:
                self.time_ns = _last_modified_ns(response)
                return self._save(response)
        except HTTPError as error:
            with error:
                raise BuildError(f"{self.url}: {error.code} {error.reason}") from error
        except (URLError, OSError, ValueError) as error:
            raise BuildError(f"{self.url}: {_in_words(error)}") from error

    def _get(self) -> HTTPResponse:
        from urllib.request import Request, build_opener

        request = Request(self.url, headers={"User-Agent": "onggi", "Accept-Encoding": "identity"})
        response: HTTPResponse = build_opener(_redirects()).open(request, timeout=_TIMEOUT_SECONDS)
        return response

    def _save(self, response: HTTPResponse) -> str:
        """Write the contents to the workshop, whole or not at all; return their digest."""
        import hashlib

        digest = hashlib.sha256()
        expected = int(response.headers.get("Content-Length") or -1)
        path = self._bench.store.workshop.new_name()
        size = 0
        with open(path, "xb") as file:
            while data := response.read(_CHUNK):
                size += len(data)
                if size > _LARGEST:
                    raise BuildError(f"{self.url} has more than {_LARGEST} bytes")
                digest.update(data)
                file.write(data)
        if expected not in (-1, size):
            raise BuildError(f"{self.url}: {size} bytes came instead of {expected}")
        self._path = path
        return f"sha256:{digest.hexdigest()}"

    def close(self) -> None:
        """Remove what was fetched; closing twice is fine."""
        path, self._path = self._path, ""
        if path:
            os.unlink(path)


def _in_words(error: Exception) -> str:
    """Say why nothing came: urllib wraps the kernel's or the resolver's error, number and all."""
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason)


def _checked(checksum: str) -> str:
    from onggi.oci.digest import Digest

    return Digest(checksum) if checksum else ""


def _redirects() -> BaseHandler:
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, Request

    class Careful(HTTPRedirectHandler):
        """Follows redirects that do not give up encryption."""

        def redirect_request(  # type: ignore[no-untyped-def]
            self, req: Request, fp, code: int, msg: str, headers, newurl: str
        ) -> Request | None:
            secure = req.full_url.startswith("https:")
            if not newurl.startswith("https:" if secure else ("http:", "https:")):
                raise HTTPError(req.full_url, code, f"redirected to {newurl}", headers, fp)
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return Careful()


def _last_modified_ns(response: HTTPResponse) -> int:
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(response.headers.get("Last-Modified", ""))
    except (TypeError, ValueError):
        return 0
    return int(moment.timestamp()) * 1_000_000_000
