"""What monitors, launchers and those who use them say to each other, one message at a time.

A message's first byte is its kind, the rest is its content. A failed start is the one exception: it
travels as `failure` encodes it, which begins with the letter f.
"""

from __future__ import annotations

# From whoever is attached.
INPUT = b"0"  # bytes for standard input
END = b"e"  # standard input has ended
SIZE = b"w"  # the terminal's new size: rows, a space, columns

# From the monitor.
STARTED = b"s"  # the PID of the first process
OUTPUT = b"1"  # bytes from standard output, or from the terminal
ERROR = b"2"  # bytes from standard error
EXIT = b"x"  # the final state as JSON; everything is cleaned up by then

# Asked of a launcher, each with descriptors (see launcher.py).
LAUNCH = b"L"
ENTER = b"E"

MOST_BYTES = 32 * 1024  # of content in one message
