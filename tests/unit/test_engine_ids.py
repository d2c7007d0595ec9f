"""Which of the host's IDs a user namespace gets: what the files say, and what is free."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onggi.engine import ids
from onggi.errors import InvalidInput

RANGES = st.lists(st.tuples(st.integers(0, 40 * 65536), st.integers(1, 3 * 65536)), max_size=12)


def pools(tmp_path: Path, uid: str | None, gid: str | None) -> list[list[tuple[int, int]]]:
    for name, text in (("subuid", uid), ("subgid", gid)):
        if text is not None:
            (tmp_path / name).write_text(text)
    return ids.pools_of_host((f"{tmp_path}/subuid", f"{tmp_path}/subgid"))[1]


class TestPools:
    def test_without_an_entry_it_is_far_above_all_users(self, tmp_path: Path) -> None:
        (found,), same = pools(tmp_path, None, None)
        assert same == [found]
        assert found == (1 << 30, 8192 * 65536)
        assert pools(tmp_path, "alice:100000:65536\n", "alice:100000:65536\n")[0] == [found]

    def test_an_entry_of_ours_comes_first(self, tmp_path: Path) -> None:
        text = "containers:5:65536\n\n# words\nonggi:1000000:65536\nonggi:3000000:131072\nx:y:z\n"
        found = pools(tmp_path, text, "onggi:7000000:65536\n")
        assert found == [[(1000000, 65536), (3000000, 131072)], [(7000000, 65536)]]

    def test_then_that_of_containers(self, tmp_path: Path) -> None:
        text = "containers:2000000:65536\n"
        assert pools(tmp_path, text, text) == [[(2000000, 65536)]] * 2

    @pytest.mark.parametrize("lacking", ["subuid", "subgid"])
    def test_one_file_alone_is_refused(self, tmp_path: Path, lacking: str) -> None:
        texts = ["onggi:1000000:65536\n", ""]
        with pytest.raises(InvalidInput, match=f"{lacking} has no range for 'onggi'"):
            pools(tmp_path, *(texts if lacking == "subgid" else reversed(texts)))

    @pytest.mark.parametrize("numbers", ["0:65536", "4294901760:65536", "4294967296:1"])
    def test_what_no_container_can_have_is_refused(self, tmp_path: Path, numbers: str) -> None:
        with pytest.raises(InvalidInput, match="cannot be a container's"):
            pools(tmp_path, f"onggi:{numbers}\n", f"onggi:{numbers}\n")


class TestFree:
    def test_the_first_place_that_is_large_enough(self) -> None:
        pool = [(100, 65536), (200000, 4 * 65536)]
        assert ids.first_free(pool, []) == 100
        assert ids.first_free(pool, [(100, 1)]) == 200000
        assert ids.first_free(pool, [(65635, 1), (200000, 65536)]) == 200000 + 65536
        assert ids.first_free(pool, [(0, 300000)]) == 300000
        assert ids.first_free(pool, [(0, 10000000)]) is None
        assert ids.first_free([(100, 65535)], []) is None

    @given(RANGES, RANGES)
    def test_what_is_found_is_in_the_pool_and_touches_nothing(
        self, pool: list[tuple[int, int]], taken: list[tuple[int, int]]
    ) -> None:
        found = ids.first_free(pool, taken)
        if found is None:
            for start, length in pool:
                candidates = [start, *(begin + count for begin, count in taken)]
                for one in candidates:
                    fits = start <= one and one + 65536 <= start + length
                    assert not fits or any(
                        one < begin + count and begin < one + 65536 for begin, count in taken
                    )
            return
        assert any(start <= found and found + 65536 <= start + size for start, size in pool)
        assert all(begin + count <= found or found + 65536 <= begin for begin, count in taken)
