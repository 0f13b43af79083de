"""A worker of step plugins in plain Python: the step waits until a file with a word appears.

The step's config names the file: `{"file": "/approvals/v2"}`. The word `yes` in it lets the
release go on, any other stops it. What a worker has to do is in docs/step-plugins.md; here it is
small, since looking at a file changes nothing and may be repeated.
"""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

BODY_BYTES_MAX: Final = 1_000_000
PORT: Final = int(os.environ.get("PORT", "8080"))
TOKEN: Final = os.environ.get("TOKEN", "")
FOLDER: Final = Path(os.environ.get("FOLDER", "/approvals"))


def answer(call: dict[str, Any]) -> dict[str, Any]:
    """Return what is said to a call; the same call gets the same answer while nothing changed."""
    if call["operation"] != "Run":
        return {"phase": "Successful"}  # nothing was begun that would have to be undone
    file = FOLDER / Path((call.get("config") or {}).get("file", call["rollout"])).name
    asked = {"asked": (call.get("status") or {}).get("asked", 0) + 1}
    if not file.exists():
        waiting = {"phase": "Running", "message": f"waiting for {file}", "status": asked}
        return {**waiting, "requeueAfter": "11s"}  # as soon as may be
    word = file.read_text().strip()
    phase = "Successful" if word == "yes" else "Failed"
    return {"phase": phase, "message": f"{file} says {word}", "status": asked}


class Handler(BaseHTTPRequestHandler):
    """Takes calls by POST."""

    def do_POST(self) -> None:
        """Answer one call."""
        length = int(self.headers.get("Content-Length") or 0)
        if TOKEN and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.send_error(401)
        elif length > BODY_BYTES_MAX:
            self.send_error(413)
        else:
            body = json.dumps(answer(json.loads(self.rfile.read(length)))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()
