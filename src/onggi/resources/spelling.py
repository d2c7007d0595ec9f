"""How Docker's users spell sizes, processors, devices' rates and ulimits.

Every parser accepts what the docker command accepts and refuses what it refuses, with its words
where they name what is wrong. Numbers stay exact: what docker computes in floating point is
computed here in integers, so `9007199254740993` keeps its last digit.

Source: docker/go-units size.go and ulimit.go; docker/cli opts/opts.go (`NanoCPUs`,
`MemSwapBytes`), opts/throttledevice.go, opts/weightdevice.go. Compared with docker 28.2.
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.resources.value import Value

# Binary multiples, whatever the spelling: `1k`, `1kb` and `1KiB` are all 1024.
MULTIPLIERS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
LARGEST = (1 << 63) - 1

# The names that `--ulimit` knows. `as` is left out, as docker does: a limit on address space
# would stop the process that sets the container up.
ULIMIT_NAMES = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)

NANO = 10**9
# More digits than any sensible number has; keeps `1e999999999` from being computed.
_LARGEST_EXPONENT = 40

_BPS_FORMAT = (
    "the correct format is <device-path>:<number>[<unit>], "
    "the number positive, the unit kb, mb or gb"
)
_IOPS_FORMAT = "the correct format is <device-path>:<number>, the number positive"
_WEIGHT_FORMAT = "the correct format is <device-path>:<weight>, the weight from 10 to 1000"


class Ulimit(Value):
    """A bound on one process, as setrlimit(2) sets it; -1 is unlimited."""

    __slots__ = ("hard", "name", "soft")

    def __init__(self, *, name: str, soft: int, hard: int) -> None:
        self.name = name
        self.soft = soft
        self.hard = hard


class DeviceLimit(Value):
    """A rate (bytes or operations a second) or a weight for the block device at `path`."""

    __slots__ = ("path", "value")

    def __init__(self, *, path: str, value: int) -> None:
        self.path = path
        self.value = value


def parse_size(text: str) -> int:
    """Read `512`, `6m`, `1.5g` or `2 GiB` as a number of bytes; multiples are binary."""
    end = max(text.rfind(character) for character in "0123456789. ")
    if end < 0:
        raise InvalidInput(f"invalid size: '{text}'")
    number = _rational(text[:end] if text[end] == " " else text[: end + 1])
    multiplier = _multiplier(text[end + 1 :])
    if number is None or number[0] < 0 or "/" in text:
        raise InvalidInput(f"invalid size: '{text}'")
    size = number[0] * multiplier // number[1]
    if size > LARGEST:
        raise InvalidInput(f"invalid size: '{text}'", hint="more bytes than 63 bits can count")
    return size


def parse_memory_swap(text: str) -> int:
    """Read a size, or `-1` for as much swap as there is."""
    return -1 if text == "-1" else parse_size(text)


def parse_cpus(text: str) -> int:
    """Read `0.5`, `2` or `1/4` processors as billionths of a processor."""
    number = _rational(text)
    if number is None:
        raise InvalidInput(f"failed to parse '{text}' as a rational number")
    nano_cpus, rest = divmod(number[0] * NANO, number[1])
    if rest:
        raise InvalidInput(f"value is too precise: '{text}'", hint="nine decimals at most")
    return nano_cpus


def parse_integer(text: str) -> int:
    """Read a signed decimal of at most 64 bits."""
    number = _integer(text)
    if number is None or not -LARGEST - 1 <= number <= LARGEST:
        raise InvalidInput(f"invalid integer: '{text}'")
    return number


def parse_device_rate(text: str) -> DeviceLimit:
    """Read `/dev/sda:1mb`: bytes a second."""
    path, rate = _device_and_value(text)
    try:
        return DeviceLimit(path=path, value=parse_size(rate))
    except InvalidInput:
        raise InvalidInput(f"invalid rate for device: {text}", hint=_BPS_FORMAT) from None


def parse_device_iops(text: str) -> DeviceLimit:
    """Read `/dev/sda:1000`: operations a second."""
    path, rate = _device_and_value(text)
    if not _is_digits(rate):
        raise InvalidInput(f"invalid rate for device: {text}", hint=_IOPS_FORMAT)
    return DeviceLimit(path=path, value=int(rate))


def parse_device_weight(text: str) -> DeviceLimit:
    """Read `/dev/sda:500`: a share of the device's time."""
    path, weight = _device_and_value(text)
    if not _is_digits(weight) or not 10 <= int(weight) <= 1000:
        raise InvalidInput(f"invalid weight for device: {text}", hint=_WEIGHT_FORMAT)
    return DeviceLimit(path=path, value=int(weight))


def parse_ulimit(text: str) -> Ulimit:
    """Read `nofile=1024:2048` or `nofile=1024` (soft and hard alike); -1 is unlimited."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise InvalidInput(f"invalid ulimit argument: {text}", hint="name=soft[:hard]")
    if name not in ULIMIT_NAMES:
        raise InvalidInput(f"invalid ulimit type: {name}", hint="one of " + " ".join(ULIMIT_NAMES))
    soft, colon, hard = limits.partition(":")
    if ":" in hard:
        raise InvalidInput(f"too many limit values: {limits}", hint="soft[:hard]")
    soft_limit = _ulimit_value(soft, text)
    hard_limit = _ulimit_value(hard, text) if colon else soft_limit
    if hard_limit != -1 and not -1 < soft_limit <= hard_limit:
        raise InvalidInput(
            f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        )
    return Ulimit(name=name, soft=soft_limit, hard=hard_limit)


def _multiplier(suffix: str) -> int:
    """Read what follows a size's number: nothing, `b`, or `k`, `kb`, `kib` and their like."""
    unit = suffix.lower()
    if unit in ("", "b"):
        return 1
    if unit[0] not in MULTIPLIERS or unit[1:] not in ("", "b", "ib"):
        raise InvalidInput(f"invalid suffix: '{suffix}'", hint="one of b, k, m, g, t, p")
    return MULTIPLIERS[unit[0]]


def _rational(text: str) -> tuple[int, int] | None:
    """Read `3`, `+.5`, `1e-3` or `1/4` as (numerator, denominator); None when it is not one."""
    above, slash, below = text.partition("/")
    if slash:
        numerator = _integer(above)
        return (numerator, int(below)) if numerator is not None and _positive(below) else None
    sign, digits = _sign(text)
    mantissa, marker, exponent = digits.lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    power = _integer(exponent) if marker else 0
    if not _is_digits(whole + decimals) or power is None or abs(power) > _LARGEST_EXPONENT:
        return None
    power -= len(decimals)
    numerator = sign * int(whole + decimals)
    return (numerator * 10**power, 1) if power >= 0 else (numerator, 10**-power)


def _sign(text: str) -> tuple[int, str]:
    if text[:1] in ("+", "-"):
        return (-1 if text[0] == "-" else 1), text[1:]
    return 1, text


def _integer(text: str) -> int | None:
    sign, digits = _sign(text)
    return sign * int(digits) if _is_digits(digits) else None


def _is_digits(text: str) -> bool:
    """Tell whether it is one to sixty ASCII digits: int() alone would take spaces and Arabic."""
    return text.isascii() and text.isdigit() and len(text) <= 60


def _positive(text: str) -> bool:
    return _is_digits(text) and int(text) > 0


def _device_and_value(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not path or not colon:
        raise InvalidInput(f"bad format: {text}", hint="<device-path>:<number>")
    if not path.startswith("/dev/"):
        raise InvalidInput(f"bad format for device path: {text}", hint="it starts with /dev/")
    return path, value


def _ulimit_value(text: str, argument: str) -> int:
    number = _integer(text)
    if number is None or not -1 <= number <= LARGEST:
        raise InvalidInput(
            f"invalid ulimit value '{text}' in '{argument}'", hint="a number, or -1 for unlimited"
        )
    return number
