"""Runs a command some of whose system calls are refused, with EPERM as by a container's filter or another error.

    python3 refuse.py CALL[=ERROR][,CALL[=ERROR]…] COMMAND [ARGUMENT…]

Needs no rights: seccomp(2) with PR_SET_NO_NEW_PRIVS. Ends with 69 where the system has none.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

MISSING = 69
NUMBERS = {
    "x86_64": {
        "audit": 0xC000003E,
        "bind": 49,
        "clone3": 435,
        "epoll_create1": 291,
        "eventfd2": 290,
        "io_uring_enter": 426,
        "io_uring_setup": 425,
        "listen": 50,
        "rt_sigaction": 13,
        "setsockopt": 54,
        "socket": 41,
    },
    "aarch64": {
        "audit": 0xC00000B7,
        "bind": 200,
        "clone3": 435,
        "epoll_create1": 20,
        "eventfd2": 19,
        "io_uring_enter": 426,
        "io_uring_setup": 425,
        "listen": 201,
        "rt_sigaction": 134,
        "setsockopt": 208,
        "socket": 198,
    },
}
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
ALLOW = 0x7FFF0000
REFUSE = 0x00050000
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06


def instruction(code, if_true, if_false, value):
    return struct.pack("HBBI", code, if_true, if_false, value)


def program(calls):
    """The words of struct seccomp_data: the call's number, then the architecture."""
    numbers = NUMBERS[platform.machine()]
    code = [
        instruction(LOAD_WORD, 0, 0, 4),
        instruction(JUMP_EQUAL, 1, 0, numbers["audit"]),
        instruction(RETURN, 0, 0, ALLOW),
        instruction(LOAD_WORD, 0, 0, 0),
    ]
    for call in calls:
        name, _, error = call.partition("=")
        code.append(instruction(JUMP_EQUAL, 0, 1, numbers[name]))
        code.append(instruction(RETURN, 0, 0, REFUSE | getattr(errno, error or "EPERM")))
    code.append(instruction(RETURN, 0, 0, ALLOW))
    return b"".join(code), len(code)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main():
    calls, command = sys.argv[1].split(","), sys.argv[2:]
    if sys.platform != "linux" or platform.machine() not in NUMBERS:
        sys.exit(MISSING)
    libc = ctypes.CDLL(None, use_errno=True)
    text, length = program(calls)
    wanted = Program(length, text)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit(MISSING)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(wanted), 0, 0) != 0:
        sys.exit(MISSING)
    os.execvp(command[0], command)


main()
