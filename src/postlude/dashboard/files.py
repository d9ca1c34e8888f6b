"""What the pages are made of beside their HTML: styles, scripts and the mark, held in memory and named by content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from starlette.responses import PlainTextResponse, Response

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Files:
    """The files, read once. A browser keeps each for a year: what changes has another address."""

    def __init__(self) -> None:
        self._files = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}
        digest = hashlib.sha256()
        for name, content in self._files.items():
            digest.update(name.encode() + b"\0" + content + b"\0")
        self.version: str = digest.hexdigest()[:12]
        """Part of every address. One for all, since scripts name one another."""

    async def answer(self, version: str, name: str) -> Response:
        """The file; 404 if there is none of that name. An old version gets the file of now, and does not keep it.

        It awaits nothing: as a plain function it would take one of the threads that sync endpoints share.
        """
        content = self._files.get(name)
        if content is None:
            return PlainTextResponse("There is no such file.", 404)
        kept = "public, max-age=31536000, immutable" if version == self.version else "no-cache"
        return Response(content, media_type=_TYPES[Path(name).suffix], headers={"cache-control": kept})
