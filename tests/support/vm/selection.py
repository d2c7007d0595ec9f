"""What is tried on each of Debian's kernels: tests that a kernel or cgroup v2 may end otherwise.

A set has a name and is a machine of its own, so that one that hangs takes no other with it. Not in
any of them is what goes by files and words, which is the same on every kernel: archives, builds,
images, logs, the library, what the commands print.
"""

INSIDE = "tests/vm/inside"
CONFORMANCE = "tests/conformance/test_runtime"
INTEGRATION = "tests/integration/test"
FAULT = "tests/fault/test"

Sets = dict[str, list[str]]

# Linux 6.1, the oldest that is claimed.
BOOKWORM: Sets = {
    "limits": [f"{INSIDE}/only_v2.py", f"{CONFORMANCE}_resources.py"],
    "kernel": ["tests/kernel"],
    "attacks": ["tests/security"],
    "life": [f"{CONFORMANCE}_lifecycle.py", f"{CONFORMANCE}_processes.py"],
    "configurations": [f"{CONFORMANCE}_config.py", f"{CONFORMANCE}_mounts.py"],
    "filters": [f"{CONFORMANCE}_seccomp.py"],
    "podman": [f"{CONFORMANCE}_podman.py"],
    "ordinary-users": [
        f"{INSIDE}/rootless.py",
        f"{CONFORMANCE}_rootless.py",
        f"{INTEGRATION}_rootless_delegation.py",
    ],
    "run": [
        f"{INTEGRATION}_run.py",
        f"{INTEGRATION}_run_options.py",
        f"{INTEGRATION}_run_process.py",
    ],
    "namespaces": [f"{INTEGRATION}_userns.py"],
    "changes": [f"{INTEGRATION}_update.py", f"{INTEGRATION}_cp.py"],
    "scripts": [f"{INTEGRATION}_explain_script.py"],
    "faults": [f"{FAULT}_runtime_sigkill.py", f"{FAULT}_recovery.py"],
}

# Linux 6.12: what differs most between the two.
TRIXIE: Sets = {
    "limits": BOOKWORM["limits"],
    "kernel": BOOKWORM["kernel"],
    "ordinary-users": [f"{INSIDE}/rootless.py"],
}

SUPPORTED = {"bookworm": BOOKWORM, "trixie": TRIXIE}
