"""Serve the guestbook: HTTP on port 8000 of whatever network the container was given."""

import os
import signal
import sys
from types import FrameType

import waitress

from guestbook import create_app
from storage import Guestbook


def leave(_number: int, _frame: FrameType | None) -> None:
    """End at once when told to: the first process of a PID namespace has no default handlers."""
    sys.exit(0)


def main() -> None:
    """Open the book and answer until somebody says stop."""
    signal.signal(signal.SIGTERM, leave)
    host = os.environ.get("GUESTBOOK_HOST", "0.0.0.0")
    port = int(os.environ.get("GUESTBOOK_PORT", "8000"))
    book = Guestbook(os.environ.get("GUESTBOOK_FILE", "guestbook.sqlite"))
    waitress.serve(create_app(book), host=host, port=port, threads=4)


if __name__ == "__main__":
    main()
