"""Docker's spellings: what the docker command 28.2 accepted and refused, case by case."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.errors import InvalidInput
from onggi.resources import spelling
from onggi.resources.cpuset import LARGEST_MEMBER, format_cpuset, parse_cpuset
from onggi.resources.spelling import DeviceLimit, Ulimit

PARSERS: list[Callable[[str], object]] = [
    spelling.parse_size,
    spelling.parse_memory_swap,
    spelling.parse_cpus,
    spelling.parse_integer,
    spelling.parse_device_rate,
    spelling.parse_device_iops,
    spelling.parse_device_weight,
    spelling.parse_ulimit,
    parse_cpuset,
]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("5b", 5),
        ("5B", 5),
        ("5k", 5 << 10),
        ("5kb", 5 << 10),
        ("5Kib", 5 << 10),
        ("128m", 128 << 20),
        ("128MiB", 128 << 20),
        ("1.5g", 3 << 29),
        (".5m", 1 << 19),
        ("5.", 5),
        ("5 m", 5 << 20),
        ("1e3", 1000),
        ("2t", 2 << 40),
        ("1p", 1 << 50),
        ("1.0000001k", 1024),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert spelling.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["abc", "", "-5", "0x10", " 5m", "5m ", "inf", "9e99", "1/2", "\u0661"]
)
def test_sizes_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=f"^invalid size: '{text}'"):
        spelling.parse_size(text)


@pytest.mark.parametrize(
    ("text", "suffix"), [("5x", "x"), ("5kbb", "kbb"), ("5bb", "bb"), ("10e", "e"), ("1ki", "ki")]
)
def test_suffixes_refused(text: str, suffix: str) -> None:
    with pytest.raises(InvalidInput, match=f"^invalid suffix: '{suffix}'"):
        spelling.parse_size(text)


def test_memory_swap() -> None:
    assert spelling.parse_memory_swap("-1") == -1
    assert spelling.parse_memory_swap("1g") == 1 << 30
    with pytest.raises(InvalidInput, match="invalid size: '-2'"):
        spelling.parse_memory_swap("-2")


@pytest.mark.parametrize(
    ("text", "nano_cpus"),
    [
        ("0.5", 500_000_000),
        ("2", 2_000_000_000),
        (".5", 500_000_000),
        ("5.", 5_000_000_000),
        ("+1", 1_000_000_000),
        ("1/4", 250_000_000),
        ("1e-3", 1_000_000),
        ("0.000000001", 1),
        ("-1", -1_000_000_000),
    ],
)
def test_cpus(text: str, nano_cpus: int) -> None:
    assert spelling.parse_cpus(text) == nano_cpus


@pytest.mark.parametrize("text", ["abc", "", "1/0", "1/-2", "1.2.3", "e5", "1e999999999", "1 "])
def test_cpus_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=f"failed to parse '{text}' as a rational number"):
        spelling.parse_cpus(text)


def test_cpus_too_precise() -> None:
    for text in ("1.0000000001", "1/3"):
        with pytest.raises(InvalidInput, match="value is too precise"):
            spelling.parse_cpus(text)


def test_device_limits() -> None:
    assert spelling.parse_device_rate("/dev/sda:1mb") == DeviceLimit(path="/dev/sda", value=1 << 20)
    assert spelling.parse_device_rate("/dev/sda:1.5mb").value == 3 << 19
    assert spelling.parse_device_iops("/dev/sda:100") == DeviceLimit(path="/dev/sda", value=100)
    assert spelling.parse_device_weight("/dev/sda:500").value == 500


@pytest.mark.parametrize("text", ["sda", "/dev/sda", ":5", "/etc/passwd:5"])
def test_device_formats_refused(text: str) -> None:
    for parse in (spelling.parse_device_rate, spelling.parse_device_iops):
        with pytest.raises(InvalidInput, match=f"^bad format.*{text}"):
            parse(text)


@pytest.mark.parametrize("value", ["", "1x", "-1", "b:1m"])
def test_device_values_refused(value: str) -> None:
    text = f"/dev/sda:{value}"
    with pytest.raises(InvalidInput, match=f"^invalid rate for device: {text} .*kb, mb or gb"):
        spelling.parse_device_rate(text)
    with pytest.raises(InvalidInput, match=f"^invalid rate for device: {text}"):
        spelling.parse_device_iops(text)
    with pytest.raises(InvalidInput, match=f"^invalid weight for device: {text}"):
        spelling.parse_device_weight(text)


def test_device_weight_bounds() -> None:
    for weight in (9, 1001):
        with pytest.raises(InvalidInput, match="from 10 to 1000"):
            spelling.parse_device_weight(f"/dev/sda:{weight}")


def test_ulimits() -> None:
    parse = spelling.parse_ulimit
    assert parse("nofile=1024:2048") == Ulimit(name="nofile", soft=1024, hard=2048)
    assert parse("nofile=1024") == Ulimit(name="nofile", soft=1024, hard=1024)
    assert parse("core=-1") == Ulimit(name="core", soft=-1, hard=-1)
    assert parse("core=5:-1") == Ulimit(name="core", soft=5, hard=-1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nofile", "invalid ulimit argument: nofile"),
        ("bad=1", "invalid ulimit type: bad"),
        ("as=1", "invalid ulimit type: as"),
        ("=5", "invalid ulimit type: "),
        ("nofile=1:2:3", "too many limit values: 1:2:3"),
        ("nofile=2:1", "soft limit must be less than or equal to hard limit: 2 > 1"),
        ("nofile=-1:5", "soft limit must be less than or equal to hard limit: -1 > 5"),
        ("nofile=x", "invalid ulimit value 'x' in 'nofile=x'"),
        ("nofile=", "invalid ulimit value '' in 'nofile='"),
        ("nofile=-2", "invalid ulimit value '-2' in 'nofile=-2'"),
        ("core=unlimited", "invalid ulimit value 'unlimited'"),
    ],
)
def test_ulimits_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        spelling.parse_ulimit(text)


def test_integers() -> None:
    assert spelling.parse_integer("-1") == -1
    for text in ("", "1.5", " 1", "9223372036854775808", "1_000"):
        with pytest.raises(InvalidInput, match=f"^invalid integer: '{text}'$"):
            spelling.parse_integer(text)


@pytest.mark.parametrize("parse", PARSERS)
@given(
    text=st.text(st.characters(exclude_categories=["C", "Z"]))
    | st.text("0123456789.-+eE/:=kmgb, ", max_size=12)
)
def test_any_text_is_read_or_refused_in_one_line(parse: Callable[[str], object], text: str) -> None:
    assert len(refusal(parse, text).splitlines()) <= 1


def refusal(parse: Callable[[str], object], text: str) -> str:
    try:
        parse(text)
    except InvalidInput as error:
        return str(error)
    return ""


@given(st.integers(0, spelling.LARGEST >> 50), st.sampled_from("bkmgtp"))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str) -> None:
    expected = number * spelling.MULTIPLIERS.get(unit, 1)
    assert spelling.parse_size(f"{number}{unit}") == expected
    assert spelling.parse_size(f"{number} {unit.upper()}") == expected


@given(st.decimals(0, 4096, places=3), st.decimals(0, 4096, places=3))
def test_sizes_grow_with_their_numbers(one: object, other: object) -> None:
    low, high = sorted([one, other], key=lambda number: float(str(number)))
    assert spelling.parse_size(f"{low}m") <= spelling.parse_size(f"{high}m")


@given(st.frozensets(st.integers(0, LARGEST_MEMBER), max_size=40))
def test_a_cpuset_reads_as_it_was_written(members: frozenset[int]) -> None:
    assert parse_cpuset(format_cpuset(members)) == members


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "1,,2", "0-99999999", "1 2", "8192"])
def test_cpusets_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="invalid cpuset"):
        parse_cpuset(text)
