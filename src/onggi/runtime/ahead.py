"""Fork what will be a monitor before there is anything to monitor.

A command that starts a container knows so from its first word, long before it has read the image
and written the container's record. So it forks at once: the child imports all that starting takes
on another processor, while the command goes on. What it needs to know comes as one message, the
same that a launcher gets.

This module is imported by every such command first of all, and imports next to nothing itself.
"""

from __future__ import annotations

import os

from onggi.linux import channel


def fork_ahead() -> int:
    """Fork a launcher for one order; return our end of its channel, which the caller owns.

    Closed without an order, the child ends. The caller is single-threaded.
    """
    ours, theirs = channel.pair()
    if os.fork():
        os.close(theirs)
        return ours
    try:
        os.close(ours)
        from onggi.runtime import launcher

        launcher.serve_once(theirs)
    finally:
        os._exit(1)
