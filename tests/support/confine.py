"""Runs a command with less than this process has.

    python3 confine.py locked=BYTES COMMAND [ARGUMENT…]       so much locked memory, whoever the user is
    python3 confine.py NAME=VALUE COMMAND [ARGUMENT…]         the sysctl reads as VALUE (kernel/io_uring_disabled=2)

Ends with 69 where the system does not let it.
"""

import ctypes
import os
import resource
import sys
import tempfile

MISSING = 69
PR_CAPBSET_DROP = 24
CAP_IPC_LOCK = 14
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000


def lock_less(libc, size):
    # What is executed has the right to lock without a limit no more.
    if os.geteuid() == 0 and libc.prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) != 0:
        sys.exit(MISSING)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (size, size))


def pretend(libc, name, value):
    """A file of our own lies over the sysctl's, in a mount namespace of our own."""
    flags = CLONE_NEWNS if os.geteuid() == 0 else CLONE_NEWNS | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        sys.exit(MISSING)
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        sys.exit(MISSING)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(value + "\n")
        file.flush()
        if libc.mount(file.name.encode(), ("/proc/sys/" + name).encode(), None, MS_BIND, None) != 0:
            sys.exit(MISSING)


def main():
    if sys.platform != "linux":
        sys.exit(MISSING)
    libc = ctypes.CDLL(None, use_errno=True)
    name, _, value = sys.argv[1].partition("=")
    if name == "locked":
        lock_less(libc, int(value))
    else:
        pretend(libc, name, value)
    os.execvp(sys.argv[2], sys.argv[2:])


main()
