"""All that is known of a container, in the Docker Engine API's shape.

Source: Docker Engine API v1.50, ContainerInspectResponse, HostConfig, ContainerConfig.
"""

from __future__ import annotations

from onggi.engine import devices, limits
from onggi.engine.container import PAUSED
from onggi.engine.environment import assignments, merged
from onggi.oci.image import ImageConfig
from onggi.resources.request import DEFAULT_SHM_SIZE
from onggi.runtime import log
from onggi.runtime import state as states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from onggi.engine.container import Container
    from onggi.resources.request import Request
    from onggi.resources.spelling import DeviceLimit
    from onggi.store.store import Store

    Json = dict[str, Any]

DRIVER = "overlayfs"
_NEVER = "0001-01-01T00:00:00Z"


def container(shown: Container) -> Json:
    """Return what `inspect` shows of a container."""
    record, directory = shown.record, shown.directory
    program, *arguments = record["config"]["process"]["args"]
    return {
        "Id": shown.id,
        "Created": moment(record["created_ns"]),
        "Path": program,
        "Args": arguments,
        "State": _state(shown),
        "Image": record["image_id"],
        "ResolvConfPath": f"{directory}/resolv.conf",
        "HostnamePath": f"{directory}/hostname",
        "HostsPath": f"{directory}/hosts",
        "LogPath": f"{directory}/{log.FILE}",
        "Name": f"/{shown.name}",
        "RestartCount": 0,
        "Driver": DRIVER,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": record["config"]["process"].get("apparmorProfile", ""),
        "ExecIDs": None,
        "HostConfig": _host_config(record),
        "GraphDriver": {"Name": DRIVER, "Data": _directories(shown.store, shown.id)},
        "Mounts": record["mounts"],
        "Config": _config(record, _image_config(shown)),
        "NetworkSettings": _network_settings(record["options"]["network"]),
    }


def moment(time_ns: int) -> str:
    """Return a time as the API writes it; 0 is never."""
    return log.stamp(time_ns).decode() if time_ns else _NEVER


def _state(shown: Container) -> Json:
    current = shown.state
    paused = shown.is_paused(current)
    return {
        "Status": PAUSED if paused else current.status,
        "Running": current.status == states.RUNNING,
        "Paused": paused,
        "Restarting": False,
        "OOMKilled": current.oom_killed,
        "Dead": False,
        "Pid": current.pid,
        "ExitCode": current.exit_code,
        "Error": current.error,
        "StartedAt": moment(current.started_ns),
        "FinishedAt": moment(current.finished_ns),
    }


def _directories(store: Store, key: str) -> dict[str, str]:
    upper, *lower = store.snapshots.stack(key)
    work = upper.removesuffix("upper") + "work"
    return {"LowerDir": ":".join(lower), "UpperDir": upper, "WorkDir": work}


def _image_config(shown: Container) -> ImageConfig:
    """Return the configuration of the image that it was made from; the record keeps it here."""
    from onggi.oci.digest import Digest

    return ImageConfig.from_bytes(shown.store.blobs.read(Digest(shown.record["image_id"])))


def _config(record: Json, image: ImageConfig) -> Json:
    options, config = record["options"], record["config"]
    attached = not options["detach"]
    return {
        "Hostname": config.get("hostname", ""),
        "Domainname": options["domainname"],
        "User": options["user"] or image.user,
        "AttachStdin": attached and options["interactive"],
        "AttachStdout": attached,
        "AttachStderr": attached,
        "Tty": options["tty"],
        "OpenStdin": options["interactive"],
        "StdinOnce": attached and options["interactive"],
        "Env": _environment(image, options["env"]),
        **_command(options, image),
        "Image": record["image"],
        "Volumes": {path: {} for path in image.volumes},
        "ExposedPorts": {port: {} for port in image.exposed_ports},
        "WorkingDir": options["workdir"] or image.working_dir,
        "OnBuild": list(image.onbuild),
        "Labels": record["labels"],
        **_optional(options, image),
    }


def _environment(image: ImageConfig, own: list[str]) -> list[str]:
    """Return the image's and the caller's variables; what is always set is left out."""
    return assignments(merged(image.env, own))


def _command(options: Json, image: ImageConfig) -> Json:
    if options["entrypoint"] is None:
        cmd = options["command"] or list(image.cmd)
        return {"Cmd": cmd, "Entrypoint": list(image.entrypoint)}
    return {"Cmd": options["command"], "Entrypoint": options["entrypoint"]}


def _optional(options: Json, image: ImageConfig) -> Json:
    """Return what the API leaves out where it is not said."""
    said = {
        "StopSignal": options["stop_signal"] or image.stop_signal,
        "StopTimeout": options["stop_timeout"],
        "Shell": list(image.shell),
        "Healthcheck": image.healthcheck,
    }
    return {name: value for name, value in said.items() if value or value == 0}


def _host_config(record: Json) -> Json:
    options, linux = record["options"], record["config"]["linux"]
    request = limits.request(options["limits"])
    return {
        "Binds": options["volumes"],
        "ContainerIDFile": "",
        "LogConfig": {"Type": "local", "Config": {}},
        "NetworkMode": options["network"],
        "PortBindings": {},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": options["remove"],
        "Mounts": [_mount(words) for words in options["mounts"]],
        "CapAdd": options["cap_add"],
        "CapDrop": options["cap_drop"],
        "CgroupnsMode": "private",
        "GroupAdd": options["group_add"],
        # What came after the first records of this kind may be missing in one.
        "VolumesFrom": options.get("volumes_from", []),
        "ExtraHosts": options.get("extra_hosts", []),
        "DeviceCgroupRules": options.get("device_cgroup_rules", []),
        "Annotations": options.get("annotations", {}),
        "Sysctls": options.get("sysctls", {}),
        "IpcMode": "private",
        "OomScoreAdj": request.oom_score_adj or 0,
        "PidMode": "",
        "Privileged": options["privileged"],
        "PublishAllPorts": False,
        "ReadonlyRootfs": options["read_only"],
        "SecurityOpt": options["security_opt"],
        "Tmpfs": dict(text.partition(":")[::2] for text in options["tmpfs"]),
        "UTSMode": "",
        "UsernsMode": "" if options["userns"] == "host" else options["userns"],
        "ShmSize": request.shm_size or DEFAULT_SHM_SIZE,
        "Runtime": "onggi",
        "Init": options["init"],
        "Devices": [_device(text) for text in options["devices"]],
        "MaskedPaths": linux.get("maskedPaths", []),
        "ReadonlyPaths": linux.get("readonlyPaths", []),
        "CgroupParent": options["cgroup_parent"],
        **_resources(request),
    }


def _mount(words: Json) -> Json:
    shown: Json = {
        "Type": words.get("type", "volume"),
        "Source": words.get("source") or "",
        "Target": words.get("target", ""),
        "ReadOnly": bool(words.get("readonly")),
    }
    recursive = words.get("recursive", "enabled")
    bind = {
        "Propagation": words.get("propagation"),
        "NonRecursive": recursive == "disabled",
        "ReadOnlyNonRecursive": recursive == "writable",
    }
    if any(bind.values()):
        shown["BindOptions"] = {name: value for name, value in bind.items() if value}
    if words.get("nocopy"):
        shown["VolumeOptions"] = {"NoCopy": True}
    return shown


def _device(text: str) -> Json:
    """Read `--device` once more; it made sense when the container was made."""
    source, target, access = devices.parse(text)
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": access}


def _resources(request: Request) -> Json:
    swappiness = request.memory_swappiness
    return {
        **({} if swappiness is None else {"MemorySwappiness": swappiness}),
        "CpuShares": request.cpu_shares or 0,
        "CpuPeriod": request.cpu_period or 0,
        "CpuQuota": request.cpu_quota or 0,
        "NanoCpus": request.nano_cpus or 0,
        "CpusetCpus": request.cpuset_cpus,
        "CpusetMems": request.cpuset_mems,
        "Memory": request.memory or 0,
        "MemoryReservation": request.memory_reservation or 0,
        "MemorySwap": request.memory_swap or 2 * (request.memory or 0),
        "PidsLimit": request.pids_limit,
        "BlkioWeight": request.blkio_weight or 0,
        "BlkioWeightDevice": [
            {"Path": one.path, "Weight": one.value} for one in request.blkio_weight_device
        ],
        "BlkioDeviceReadBps": _rates(request.device_read_bps),
        "BlkioDeviceWriteBps": _rates(request.device_write_bps),
        "BlkioDeviceReadIOps": _rates(request.device_read_iops),
        "BlkioDeviceWriteIOps": _rates(request.device_write_iops),
        "OomKillDisable": request.oom_kill_disable,
        "Ulimits": [
            {"Name": one.name, "Soft": one.soft, "Hard": one.hard} for one in request.ulimits
        ],
    }


def _rates(device_limits: tuple[DeviceLimit, ...]) -> list[Json]:
    return [{"Path": one.path, "Rate": one.value} for one in device_limits]


def _network_settings(network: str) -> Json:
    """Return what there is to say of a container without a network of its own: its mode."""
    unset = {"Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "MacAddress": ""}
    return {"Ports": {}, **unset, "Networks": {network: unset}}
