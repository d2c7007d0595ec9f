"""Signals by name, without the standard library's `signal` (whose enums cost milliseconds).

The numbers are those of x86, ARM and every architecture that uses asm-generic/signal.h.
Real-time signals are named from RTMIN as C programs see it: the C library keeps 32 and 33.

Source: signal(7), "Signal numbering for standard signals".
"""

from __future__ import annotations

SIGHUP = 1
SIGINT = 2
SIGQUIT = 3
SIGKILL = 9
SIGUSR1 = 10
SIGUSR2 = 12
SIGPIPE = 13
SIGALRM = 14
SIGTERM = 15
SIGCHLD = 17
SIGCONT = 18
SIGSTOP = 19
SIGTSTP = 20
SIGTTIN = 21
SIGTTOU = 22
SIGURG = 23
SIGWINCH = 28
SIGSYS = 31

SIGRTMIN = 34
SIGRTMAX = 64

NUMBERS = {
    "SIGHUP": SIGHUP,
    "SIGINT": SIGINT,
    "SIGQUIT": SIGQUIT,
    "SIGILL": 4,
    "SIGTRAP": 5,
    "SIGABRT": 6,
    "SIGIOT": 6,
    "SIGBUS": 7,
    "SIGFPE": 8,
    "SIGKILL": SIGKILL,
    "SIGUSR1": SIGUSR1,
    "SIGSEGV": 11,
    "SIGUSR2": SIGUSR2,
    "SIGPIPE": SIGPIPE,
    "SIGALRM": SIGALRM,
    "SIGTERM": SIGTERM,
    "SIGSTKFLT": 16,
    "SIGCHLD": SIGCHLD,
    "SIGCLD": SIGCHLD,
    "SIGCONT": SIGCONT,
    "SIGSTOP": SIGSTOP,
    "SIGTSTP": SIGTSTP,
    "SIGTTIN": SIGTTIN,
    "SIGTTOU": SIGTTOU,
    "SIGURG": SIGURG,
    "SIGXCPU": 24,
    "SIGXFSZ": 25,
    "SIGVTALRM": 26,
    "SIGPROF": 27,
    "SIGWINCH": SIGWINCH,
    "SIGIO": 29,
    "SIGPOLL": 29,
    "SIGPWR": 30,
    "SIGSYS": SIGSYS,
    "SIGRTMIN": SIGRTMIN,
    "SIGRTMAX": SIGRTMAX,
}


def parse(text: str) -> int:
    """Tell the number that `text` names: "TERM", "SIGTERM", "15", "RTMIN+3", "SIGRTMAX-1".

    Case does not matter, as with kill(1) and Docker.

    Raises: ValueError: no such signal, or a number outside 1..64.
    """
    if text.isascii() and text.isdigit():
        number = int(text[:4])
    else:
        number = _named("SIG" + text.upper().removeprefix("SIG"))
    if not 1 <= number <= SIGRTMAX:
        raise ValueError(f"no such signal: {text!r}")
    return number


def _named(name: str) -> int:
    """Number of a full name, 0 if there is none."""
    for base, sign in (("SIGRTMIN", "+"), ("SIGRTMAX", "-")):
        offset = name.removeprefix(base + sign)
        if offset != name and offset.isascii() and offset.isdigit():
            number = NUMBERS[base] + int(sign + offset[:4])
            return number if SIGRTMIN <= number <= SIGRTMAX else 0
    return NUMBERS.get(name, 0)


def name(number: int) -> str:
    """Name a signal: "SIGTERM", "SIGRTMIN+3"; a number nobody named is given as digits."""
    for known, value in NUMBERS.items():
        if value == number:
            return known
    if SIGRTMIN < number < SIGRTMAX:
        return f"SIGRTMIN+{number - SIGRTMIN}"
    return str(number)
