"""Static files: read once, named by a hash of their content, so that browsers may keep them for ever."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
FOR_EVER = "public, max-age=31536000, immutable"
_SMALL = 1024


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it goes out; `packed` is its gzip, where that is worth it."""

    digest: str
    body: bytes
    packed: bytes | None
    content_type: str


class Assets:
    """Every file under static/."""

    def __init__(self) -> None:
        self._files: dict[str, Asset] = {}
        self._read(files("cooee.web.console").joinpath("static"), "")

    def _read(self, folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                self._read(entry, f"{prefix}{entry.name}/")
                continue
            kind = _TYPES.get("." + entry.name.rpartition(".")[2])
            if kind is None:
                continue
            body = entry.read_bytes()
            packed = gzip.compress(body, mtime=0) if len(body) > _SMALL else None
            self._files[prefix + entry.name] = Asset(hashlib.sha256(body).hexdigest()[:16], body, packed, kind)

    @property
    def paths(self) -> list[str]:
        """The address of every file."""
        return [self.path(name) for name in sorted(self._files)]

    def path(self, name: str) -> str:
        """Where a file is to be had; KeyError for one that is not there, so that a template's mistake is seen."""
        return f"/static/{self._files[name].digest}/{name}"

    async def respond(self, request: Request) -> Response:
        """GET /static/HASH/NAME: 404 for another hash, since that would be another file."""
        asset = self._files.get(request.path_params["name"])
        if asset is None or asset.digest != request.path_params["digest"]:
            return Response("Not found\n", 404, media_type="text/plain")
        headers = {"cache-control": FOR_EVER, "vary": "accept-encoding"}
        body = asset.body
        if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            body = asset.packed
            headers["content-encoding"] = "gzip"
        return Response(body, headers=headers, media_type=asset.content_type)
