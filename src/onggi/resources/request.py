"""What a user asks of the host for one container, and its form as OCI `linux.resources`.

A `Request` holds together in itself: its constructor refuses what no host could grant. What this
host cannot grant is `admission.admit`'s to say.

Source: moby daemon/daemon_unix.go, verifyPlatformContainerResources, for the rules and the words;
runtime-spec config-linux.md, "Control groups", for the form.
"""

from __future__ import annotations

from onggi.errors import InvalidInput
from onggi.resources.cpuset import parse_cpuset
from onggi.resources.spelling import DeviceLimit, Ulimit
from onggi.resources.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    Json: TypeAlias = dict[str, Any]
    Numbers: TypeAlias = Mapping[str, tuple[int, int]]

# Not the kernel's bound but docker's: less does not start a container and let it do something.
LEAST_MEMORY = 6 << 20
# The period over which `--cpus` is granted: the kernel's own default.
PERIOD_USEC = 100_000
NANO_CPUS_TO_QUOTA = 10**9 // PERIOD_USEC
DEFAULT_SHM_SIZE = 64 << 20
RLIM_INFINITY = (1 << 64) - 1

# Request's field -> OCI's name below linux.resources.blockIO.
_THROTTLES = {
    "device_read_bps": "throttleReadBpsDevice",
    "device_write_bps": "throttleWriteBpsDevice",
    "device_read_iops": "throttleReadIOPSDevice",
    "device_write_iops": "throttleWriteIOPSDevice",
}
_DEVICE_FIELDS = ("blkio_weight_device", *_THROTTLES)


class Request(Value):
    """Resources asked for; a number left None is left as the host has it.

    Units: `nano_cpus` in billionths of a processor; `cpu_period` and `cpu_quota` in microseconds;
    memory and `shm_size` in bytes; `device_*_bps` in bytes a second, `device_*_iops` in
    operations a second. `memory_swap` counts memory and swap together; -1 is unlimited there, in
    `cpu_quota` and in `pids_limit`.

    Raises: InvalidInput: the numbers contradict each other, or no host could grant them.
    """

    __slots__ = (
        "blkio_weight",
        "blkio_weight_device",
        "cpu_period",
        "cpu_quota",
        "cpu_shares",
        "cpuset_cpus",
        "cpuset_mems",
        "device_read_bps",
        "device_read_iops",
        "device_write_bps",
        "device_write_iops",
        "memory",
        "memory_reservation",
        "memory_swap",
        "memory_swappiness",
        "nano_cpus",
        "oom_kill_disable",
        "oom_score_adj",
        "pids_limit",
        "shm_size",
        "ulimits",
    )

    def __init__(
        self,
        *,
        nano_cpus: int | None = None,
        cpu_shares: int | None = None,
        cpu_period: int | None = None,
        cpu_quota: int | None = None,
        cpuset_cpus: str = "",
        cpuset_mems: str = "",
        memory: int | None = None,
        memory_reservation: int | None = None,
        memory_swap: int | None = None,
        memory_swappiness: int | None = None,
        oom_kill_disable: bool = False,
        pids_limit: int | None = None,
        blkio_weight: int | None = None,
        blkio_weight_device: tuple[DeviceLimit, ...] = (),
        device_read_bps: tuple[DeviceLimit, ...] = (),
        device_write_bps: tuple[DeviceLimit, ...] = (),
        device_read_iops: tuple[DeviceLimit, ...] = (),
        device_write_iops: tuple[DeviceLimit, ...] = (),
        ulimits: tuple[Ulimit, ...] = (),
        oom_score_adj: int | None = None,
        shm_size: int | None = None,
    ) -> None:
        # Docker's interface sends 0, or -1 for swappiness, for "not asked for".
        self.nano_cpus = nano_cpus or None
        self.cpu_shares = cpu_shares or None
        self.cpu_period = cpu_period or None
        self.cpu_quota = cpu_quota or None
        self.cpuset_cpus = cpuset_cpus
        self.cpuset_mems = cpuset_mems
        self.memory = memory or None
        self.memory_reservation = memory_reservation or None
        self.memory_swap = memory_swap or None
        self.memory_swappiness = None if memory_swappiness == -1 else memory_swappiness
        self.oom_kill_disable = oom_kill_disable
        self.pids_limit = pids_limit
        self.blkio_weight = blkio_weight or None
        self.blkio_weight_device = blkio_weight_device
        self.device_read_bps = device_read_bps
        self.device_write_bps = device_write_bps
        self.device_read_iops = device_read_iops
        self.device_write_iops = device_write_iops
        self.ulimits = ulimits
        self.oom_score_adj = oom_score_adj
        self.shm_size = shm_size or None
        _check_memory(self)
        _check_cpu(self)
        _check_others(self)

    def replace(self, **changes: Any) -> Request:
        """Return a request that differs in these fields."""
        return Request(**{**{name: getattr(self, name) for name in self.__slots__}, **changes})

    def device_paths(self) -> list[str]:
        """Return the block devices named, once each, in order."""
        limits = (limit for name in _DEVICE_FIELDS for limit in getattr(self, name))
        return list(dict.fromkeys(limit.path for limit in limits))

    def to_oci(self, numbers: Numbers | None = None) -> Json:
        """Return runtime-spec `linux.resources`, without device rules.

        Args: numbers: (major, minor) of each of `device_paths()`; see `host.device_numbers`.
        """
        parts = {
            "cpu": _cpu(self),
            "memory": _memory(self),
            "pids": _pids(self),
            "blockIO": _block_io(self, numbers or {}),
        }
        return {name: part for name, part in parts.items() if part}

    def rlimits(self) -> list[Json]:
        """Return runtime-spec `process.rlimits`; of two ulimits of one name the last counts."""
        last = {ulimit.name: ulimit for ulimit in self.ulimits}
        return [
            {
                "type": "RLIMIT_" + name.upper(),
                "soft": _rlimit(ulimit.soft),
                "hard": _rlimit(ulimit.hard),
            }
            for name, ulimit in last.items()
        ]

    def to_json(self) -> Json:
        """Return what was asked for, as a record keeps it; unset fields are left out."""
        blank = Request()
        differing = (name for name in self.__slots__ if getattr(self, name) != getattr(blank, name))
        return {name: _plain(getattr(self, name)) for name in differing}

    @classmethod
    def from_json(cls, record: Json) -> Request:
        """Read what `to_json` wrote."""
        fields = dict(record)
        for name in _DEVICE_FIELDS:
            fields[name] = tuple(DeviceLimit(**limit) for limit in record.get(name, ()))
        fields["ulimits"] = tuple(Ulimit(**ulimit) for ulimit in record.get("ulimits", ()))
        return cls(**fields)


def _check_memory(request: Request) -> None:
    memory, swap, reservation = request.memory, request.memory_swap, request.memory_reservation
    if memory is not None and memory < LEAST_MEMORY:
        raise InvalidInput("minimum memory limit allowed is 6MB")
    if swap is not None and memory is None and swap > 0:
        raise InvalidInput(
            "you should always set the memory limit when using a memory-swap limit",
            hint="memory-swap counts memory and swap together",
        )
    if swap is not None and swap != -1 and memory is not None and swap < memory:
        raise InvalidInput(
            "minimum memory-swap limit should be larger than the memory limit",
            hint="memory-swap counts memory and swap together; -1 is unlimited",
        )
    if reservation is not None and reservation < LEAST_MEMORY:
        raise InvalidInput("minimum memory reservation allowed is 6MB")
    if reservation is not None and memory is not None and memory < reservation:
        raise InvalidInput("minimum memory limit can not be less than the memory reservation")
    swappiness = request.memory_swappiness
    if swappiness is not None and not 0 <= swappiness <= 100:
        raise InvalidInput(f"invalid value: {swappiness}, valid memory swappiness range is 0-100")


def _check_cpu(request: Request) -> None:
    if request.nano_cpus is not None and request.cpu_period is not None:
        raise InvalidInput("conflicting options: cpus and cpu-period cannot both be set")
    if request.nano_cpus is not None and request.cpu_quota is not None:
        raise InvalidInput("conflicting options: cpus and cpu-quota cannot both be set")
    if request.cpu_shares is not None and request.cpu_shares < 0:
        raise InvalidInput(f"invalid CPU shares: {request.cpu_shares}", hint="from 2 to 262144")
    if request.cpu_period is not None and not 1000 <= request.cpu_period <= 1_000_000:
        raise InvalidInput(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if request.cpu_quota is not None and 0 < request.cpu_quota < 1000:
        raise InvalidInput("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    parse_cpuset(request.cpuset_cpus)
    parse_cpuset(request.cpuset_mems)


def _check_others(request: Request) -> None:
    weight, score = request.blkio_weight, request.oom_score_adj
    if weight is not None and not 10 <= weight <= 1000:
        raise InvalidInput("range of blkio weight is from 10 to 1000")
    if score is not None and not -1000 <= score <= 1000:
        raise InvalidInput(f"invalid value {score}, range for oom score adj is [-1000, 1000]")
    if request.shm_size is not None and request.shm_size < 0:
        raise InvalidInput("SHM size can not be less than 0")


def _cpu(request: Request) -> Json:
    period, quota = request.cpu_period, request.cpu_quota
    if request.nano_cpus is not None:
        period, quota = PERIOD_USEC, request.nano_cpus // NANO_CPUS_TO_QUOTA
    return _given(
        shares=request.cpu_shares,
        period=period,
        quota=quota,
        cpus=request.cpuset_cpus or None,
        mems=request.cpuset_mems or None,
    )


def _memory(request: Request) -> Json:
    swap = request.memory_swap
    if swap is None and request.memory is not None:
        swap = 2 * request.memory  # as much swap as memory, unless told otherwise
    return _given(
        limit=request.memory,
        reservation=request.memory_reservation,
        swap=swap,
        swappiness=request.memory_swappiness,
        disableOOMKiller=request.oom_kill_disable or None,
    )


def _pids(request: Request) -> Json:
    limit = request.pids_limit
    return {} if limit is None else {"limit": limit if limit > 0 else -1}


def _block_io(request: Request, numbers: Numbers) -> Json:
    part = _given(weight=request.blkio_weight)
    if request.blkio_weight_device:
        part["weightDevice"] = _by_number(request.blkio_weight_device, "weight", numbers)
    for field, name in _THROTTLES.items():
        if getattr(request, field):
            part[name] = _by_number(getattr(request, field), "rate", numbers)
    return part


def _by_number(limits: tuple[DeviceLimit, ...], name: str, numbers: Numbers) -> list[Json]:
    return [
        {"major": numbers[limit.path][0], "minor": numbers[limit.path][1], name: limit.value}
        for limit in limits
    ]


def _given(**values: object) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def _rlimit(value: int) -> int:
    return RLIM_INFINITY if value == -1 else value


def _plain(value: object) -> object:
    """Turn a tuple of Ulimit or DeviceLimit into lists and dicts; leave all else."""
    if not isinstance(value, tuple):
        return value
    return [{name: getattr(item, name) for name in item.__slots__} for item in value]
