"""Device rules to try, and what the kernel makes of v1's lines."""

from hypothesis import strategies as st


class KernelV1:
    """devices.allow and devices.deny, as security/device_cgroup.c keeps them."""

    def __init__(self) -> None:
        self.allows = True
        self.exceptions: dict[tuple[str, str, str], set[str]] = {}

    def write(self, file: str, line: str) -> None:
        allow = file == "devices.allow"
        if line == "a":
            self.allows, self.exceptions = allow, {}
            return
        kind, numbers, access = line.split()
        major, minor = numbers.split(":")
        kept = self.exceptions.setdefault((kind, major, minor), set())
        if allow != self.allows:
            kept |= set(access)
        else:
            kept -= set(access)

    def listed(self) -> str:
        """Return what devices.list says: of exceptions from "all allowed", nothing."""
        if self.allows:
            return "a *:* rwm"
        kept = {key: access for key, access in self.exceptions.items() if access}
        return "\n".join(
            f"{kind} {major}:{minor} {''.join(each for each in 'rwm' if each in access)}"
            for (kind, major, minor), access in kept.items()
        )

    def permits(self, kind: str, major: int, minor: int, access: str) -> bool:
        matching = [
            kept
            for (one, of_major, of_minor), kept in self.exceptions.items()
            if one == kind and of_major in ("*", str(major)) and of_minor in ("*", str(minor))
        ]
        if self.allows:
            return not any(kept & set(access) for kept in matching)
        return any(set(access) <= kept for kept in matching)


numbers = st.sampled_from([-1, 0, 1, 3])
access_sets = st.sampled_from(["r", "w", "m", "rw", "rm", "wm", "rwm"])
one_rule = st.fixed_dictionaries(
    {"allow": st.booleans()},
    optional={
        "type": st.sampled_from("abc"),
        "major": numbers,
        "minor": numbers,
        "access": access_sets,
    },
)
attempts = st.tuples(
    st.sampled_from("bc"), st.sampled_from([0, 1, 3]), st.sampled_from([0, 1, 3]), access_sets
)
