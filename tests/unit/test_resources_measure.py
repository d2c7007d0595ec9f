"""Measuring from the files' text; directories of plain files stand for cgroups."""

from pathlib import Path

import pytest

from onggi.resources.measure import cpus_nanoseconds, measure, memory_refusals, oom_kills
from support.hierarchies import v1, v2

UNLIMITED_V1 = "9223372036854771712\n"


def fill(directory: Path, files: dict[str, str]) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    return str(directory)


V2_FILES = {
    "cpu.stat": "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnr_periods 5\n"
    "nr_throttled 2\nthrottled_usec 700\n",
    "memory.current": "8192\n",
    "memory.max": "max\n",
    "memory.peak": "9000\n",
    "memory.stat": "anon 1\ninactive_file 4096\n",
    "memory.swap.current": "0\n",
    "pids.current": "3\n",
    "pids.max": "20\n",
    "io.stat": "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=9 dios=9\n8:16 rbytes=1 wbytes=2\n",
}


def test_v2(tmp_path: Path) -> None:
    usage = measure([(v2("cpu"), fill(tmp_path, V2_FILES))])
    assert (usage.cpu_usec, usage.cpu_user_usec, usage.cpu_system_usec) == (3000, 2000, 1000)
    assert (usage.cpu_periods, usage.cpu_throttled_periods, usage.cpu_throttled_usec) == (5, 2, 700)
    assert (usage.memory_bytes, usage.memory_limit_bytes) == (8192, None)
    assert (usage.memory_used_bytes, usage.memory_peak_bytes, usage.swap_bytes) == (4096, 9000, 0)
    assert (usage.pids, usage.pids_limit) == (3, 20)
    assert (usage.block_read_bytes, usage.block_written_bytes) == (101, 202)
    assert (usage.block_reads, usage.block_writes) == (1, 2)


def test_v1(tmp_path: Path) -> None:
    paths = [
        (
            v1("cpu", "cpuacct"),
            fill(
                tmp_path / "cpu",
                {
                    "cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 700000\n",
                    "cpuacct.usage": "3000000\n",
                    "cpuacct.stat": "user 2\nsystem 1\n",
                },
            ),
        ),
        (
            v1("memory"),
            fill(
                tmp_path / "memory",
                {
                    "memory.usage_in_bytes": "8192\n",
                    "memory.limit_in_bytes": UNLIMITED_V1,
                    "memory.max_usage_in_bytes": "9000\n",
                    "memory.stat": "inactive_file 1\ntotal_inactive_file 4096\ntotal_swap 7\n",
                },
            ),
        ),
        (v1("pids"), fill(tmp_path / "pids", {"pids.current": "3\n", "pids.max": "max\n"})),
        (
            v1("blkio"),
            fill(
                tmp_path / "blkio",
                {
                    "blkio.throttle.io_service_bytes_recursive": "8:0 Read 100\n8:0 Write 200\n"
                    "8:0 Sync 300\n8:16 Read 1\nTotal 301\n",
                    "blkio.throttle.io_serviced_recursive": "Total 0\n",
                },
            ),
        ),
    ]
    usage = measure(paths)
    assert (usage.cpu_usec, usage.cpu_throttled_usec) == (3000, 700)
    assert usage.cpu_user_usec == 2 * (usage.cpu_system_usec or 0)
    assert (usage.memory_limit_bytes, usage.memory_used_bytes, usage.swap_bytes) == (None, 4096, 7)
    assert (usage.pids, usage.pids_limit) == (3, None)
    assert (usage.block_read_bytes, usage.block_written_bytes, usage.block_reads) == (101, 200, 0)


@pytest.mark.parametrize("v1_first", [True, False])
def test_beside_each_other_v1_counts(tmp_path: Path, v1_first: bool) -> None:
    paths = [
        (v1("cpuacct"), fill(tmp_path / "1", {"cpuacct.usage": "5000\n", "cpuacct.stat": ""})),
        (v2("hugetlb"), fill(tmp_path / "2", {"cpu.stat": "usage_usec 9\n"})),
    ]
    assert measure(paths if v1_first else paths[::-1]).cpu_usec == 5


def test_what_nobody_counts_is_none(tmp_path: Path) -> None:
    usage = measure([(v2(), fill(tmp_path, {"cpu.stat": "usage_usec 9\n"}))])
    assert usage.cpu_usec == 9
    assert usage.memory_used_bytes is usage.pids is usage.block_reads is None


def test_a_cgroup_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        measure([(v1("memory"), str(tmp_path / "gone"))])


def test_oom_kills_in_v2_include_those_below(tmp_path: Path) -> None:
    path = fill(tmp_path, {"memory.events": "low 0\nmax 90\noom 3\noom_kill 2\n"})
    fill(tmp_path / "below", {"memory.events": "oom_kill 1\n"})
    assert oom_kills(["/absent", path]) == 2


def test_oom_kills_in_v1_are_added_up(tmp_path: Path) -> None:
    text = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
    path = fill(tmp_path, {"memory.oom_control": text})
    fill(tmp_path / "below" / "deeper", {"memory.oom_control": text})
    assert oom_kills([path]) == 4


def test_meeting_the_limit_is_no_kill(tmp_path: Path) -> None:
    path = fill(tmp_path, {"memory.failcnt": "90\n", "memory.oom_control": "under_oom 0\n"})
    assert oom_kills([path]) == 0
    assert oom_kills([]) == 0


def test_times_of_each_processor_are_of_v1(tmp_path: Path) -> None:
    first = fill(tmp_path / "cpuacct", {"cpuacct.usage_percpu": "12 0 7 \n"})
    second = fill(tmp_path / "unified", {"cpu.stat": "usage_usec 9\n"})
    assert cpus_nanoseconds([second, first]) == [12, 0, 7]
    assert cpus_nanoseconds([second]) == []


def test_how_often_memory_met_its_limit(tmp_path: Path) -> None:
    first = fill(tmp_path / "v1", {"memory.failcnt": "0\n"})
    second = fill(tmp_path / "v2", {"memory.events": "low 0\nhigh 3\nmax 90\noom 1\n"})
    without = fill(tmp_path / "cpu", {"cpu.stat": "usage_usec 9\n"})
    assert memory_refusals([without, first]) == 0
    assert memory_refusals([without, second]) == 90
    assert memory_refusals([without]) is None
