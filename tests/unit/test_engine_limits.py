"""Docker's resource flags, word by word, and what this host makes of them."""

from typing import Any

import pytest

from onggi.engine import limits
from onggi.errors import InvalidInput, Unsupported
from onggi.resources.request import Request
from onggi.resources.spelling import DeviceLimit, Ulimit
from support.machines import CONTROLLERS, machine

MIB = 1 << 20

WORDS: list[tuple[dict[str, Any], Request]] = [
    ({}, Request()),
    ({"cpus": "0.5"}, Request(nano_cpus=500_000_000)),
    ({"cpu-shares": "512"}, Request(cpu_shares=512)),
    ({"cpu-period": "50000", "cpu-quota": "25000"}, Request(cpu_period=50000, cpu_quota=25000)),
    ({"cpuset-cpus": "0-1", "cpuset-mems": "0"}, Request(cpuset_cpus="0-1", cpuset_mems="0")),
    ({"memory": "64m"}, Request(memory=64 * MIB)),
    ({"memory": 67108864}, Request(memory=64 * MIB)),  # a program's number
    (
        {"memory": "64m", "memory-reservation": "32m", "memory-swap": "-1"},
        Request(memory=64 * MIB, memory_reservation=32 * MIB, memory_swap=-1),
    ),
    ({"memory-swappiness": "10"}, Request(memory_swappiness=10)),
    ({"oom-kill-disable": "true"}, Request(oom_kill_disable=True)),
    ({"oom-kill-disable": "false"}, Request(oom_kill_disable=False)),
    ({"pids-limit": "100"}, Request(pids_limit=100)),
    ({"oom-score-adj": "-500"}, Request(oom_score_adj=-500)),
    ({"shm-size": "1g"}, Request(shm_size=1024 * MIB)),
    ({"blkio-weight": "300"}, Request(blkio_weight=300)),
    (
        {"device-read-bps": ["/dev/sda:1mb", "/dev/sdb:2mb"]},
        Request(
            device_read_bps=(
                DeviceLimit(path="/dev/sda", value=MIB),
                DeviceLimit(path="/dev/sdb", value=2 * MIB),
            )
        ),
    ),
    (
        {"device-write-iops": "/dev/sda:7"},
        Request(device_write_iops=(DeviceLimit(path="/dev/sda", value=7),)),
    ),
    (
        {"ulimit": ["nofile=1024:2048"]},
        Request(ulimits=(Ulimit(name="nofile", soft=1024, hard=2048),)),
    ),
]


@pytest.mark.parametrize(("given", "asked"), WORDS, ids=[str(list(words)) for words, _ in WORDS])
def test_each_word_becomes_its_field(given: dict[str, Any], asked: Request) -> None:
    if "pids-limit" not in given:
        asked = asked.replace(pids_limit=2048)  # nobody is to fill the host with processes
    assert limits.request(given).to_json() == asked.to_json()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"cpus": "two"}, "--cpus: "),
        ({"memory": "lots"}, "--memory: "),
        ({"cpu-shares": "1.5"}, "--cpu-shares: "),
        ({"ulimit": ["nofile=1", "nosuch=1"]}, "--ulimit: "),
        ({"device-read-bps": ["sda"]}, "--device-read-bps: "),
        ({"memory": "1k"}, "minimum memory limit allowed is 6MB"),
        ({"cpuset-cpus": "3-1"}, "invalid cpuset range"),
    ],
)
def test_a_refusal_names_what_it_is_about(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        limits.request(given)
    assert refused.value.message.startswith(complaint) or complaint in refused.value.message
    assert refused.value.exit_code == 125


def test_an_unknown_limit_lists_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match="unknown limit 'cpu'") as refused:
        limits.request({"cpu": "1"})
    known = refused.value.hint.split(", ")
    assert {"cpus", "memory", "ulimit"} <= set(known)
    assert sorted(known) == sorted({*limits._WORDS, *limits._LISTS})


class TestFitted:
    def test_what_is_granted_in_the_specification_s_words(self) -> None:
        asked = limits.request({"cpus": "0.5", "memory": "64m", "pids-limit": "100"})
        granted, resources, warnings = limits.fitted(asked, machine())
        assert (granted.to_json(), warnings) == (asked.to_json(), [])
        assert resources["cpu"] == {"quota": 50000, "period": 100000}
        assert resources["memory"]["limit"] == 64 * MIB
        assert resources["pids"] == {"limit": 100}

    def test_what_is_not_granted_is_warned_of_and_left_out(self) -> None:
        asked = limits.request({"pids-limit": "100", "cpu-shares": "512"})
        host = machine(controllers=CONTROLLERS - {"pids"})
        granted, resources, warnings = limits.fitted(asked, host)
        assert "pids" not in resources
        assert not granted.pids_limit
        assert granted.cpu_shares == 512
        assert [warning for warning in warnings if "pids" in warning.lower()] == warnings != []

    def test_what_this_host_cannot_have_is_refused(self) -> None:
        with pytest.raises(InvalidInput):
            limits.fitted(limits.request({"cpuset-cpus": "7"}), machine())
        with pytest.raises(InvalidInput):
            limits.fitted(limits.request({"cpus": "3"}), machine())
        with pytest.raises(Unsupported):
            limits.fitted(limits.request({"cpus": "1"}), machine(files=frozenset()))
