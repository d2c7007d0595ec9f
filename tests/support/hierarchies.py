"""Hierarchies as hosts have them, for plans that need no kernel."""

from onggi.linux.cgroup import Hierarchy

# What a recent kernel has of the optional control files, in each version.
FILES_V1 = frozenset(
    {
        "memory.memsw.limit_in_bytes",
        "cpu.cfs_quota_us",
        "blkio.bfq.weight",
        "blkio.throttle.read_bps_device",
    }
)
FILES_V2 = frozenset({"memory.swap.max", "cpu.max", "io.weight", "io.max"})


def v1(*controllers: str, name: str = "") -> Hierarchy:
    """Return a v1 hierarchy; several controllers are mounted together."""
    return Hierarchy(
        version=1,
        controllers=controllers,
        name=name,
        mountpoint="/sys/fs/cgroup/" + (",".join(controllers) or name),
        root="/",
    )


def v2(*controllers: str, mountpoint: str = "/sys/fs/cgroup") -> Hierarchy:
    """Return the v2 hierarchy with these controllers."""
    return Hierarchy(version=2, controllers=controllers, name="", mountpoint=mountpoint, root="/")


def legacy() -> list[Hierarchy]:
    """Return what systemd made of v1: some controllers together, its own tree without any."""
    return [
        v1("cpu", "cpuacct"),
        v1("cpuset"),
        v1("memory"),
        v1("devices"),
        v1("freezer"),
        v1("blkio"),
        v1("pids"),
        v1("hugetlb"),
        v1("net_cls", "net_prio"),
        v1(name="systemd"),
    ]


def unified() -> list[Hierarchy]:
    """Return what a recent distribution has."""
    return [v2("cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma")]


def hybrid() -> list[Hierarchy]:
    """Return v1 for most, and v2 with what is left."""
    alone = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
    mixed = [v1(name) for name in alone]
    return [*mixed, v1(name="systemd"), v2("hugetlb", mountpoint="/sys/fs/cgroup/unified")]
