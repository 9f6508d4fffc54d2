"""Runs a command some of whose system calls are refused, as by a container's filter.

    python3 refuse.py CALL[,CALL…] COMMAND [ARGUMENT…]

CALL is a name of NUMBERS; CALL=ERRNO is refused with that error, not EPERM; CALL:FAMILY is refused where its first argument
is that address family, fcntl:COMMAND where its second is that command. "container" stands for what Docker's default profile refuses. Needs no rights: seccomp(2) with
PR_SET_NO_NEW_PRIVS. Ends with 69 where the system has none.
"""

import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct
import sys

MISSING = 69
NUMBERS = {
    "x86_64": {
        "audit": 0xC000003E,
        "add_key": 248,
        "bind": 49,
        "bpf": 321,
        "clone3": 435,
        "epoll_create1": 291,
        "eventfd2": 290,
        "fcntl": 72,
        "io_uring_enter": 426,
        "io_uring_register": 427,
        "io_uring_setup": 425,
        "keyctl": 250,
        "listen": 50,
        "mbind": 237,
        "mount": 165,
        "openat2": 437,
        "perf_event_open": 298,
        "request_key": 249,
        "rt_sigaction": 13,
        "set_mempolicy": 238,
        "setsockopt": 54,
        "socket": 41,
        "unshare": 272,
        "userfaultfd": 323,
    },
    "aarch64": {
        "audit": 0xC00000B7,
        "add_key": 217,
        "bind": 200,
        "bpf": 280,
        "clone3": 435,
        "epoll_create1": 20,
        "eventfd2": 19,
        "fcntl": 25,
        "io_uring_enter": 426,
        "io_uring_register": 427,
        "io_uring_setup": 425,
        "keyctl": 219,
        "listen": 201,
        "mbind": 235,
        "mount": 40,
        "openat2": 437,
        "perf_event_open": 241,
        "request_key": 218,
        "rt_sigaction": 134,
        "set_mempolicy": 237,
        "setsockopt": 208,
        "socket": 198,
        "unshare": 97,
        "userfaultfd": 282,
    },
}
# Of calls that a server may make, and of some that a library might. clone3 is ENOSYS there, so that libc takes clone.
CONTAINER = (
    "add_key,bpf,clone3=ENOSYS,io_uring_enter,io_uring_register,io_uring_setup,keyctl,mbind,mount,perf_event_open,"
    "request_key,set_mempolicy,unshare,userfaultfd"
)
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
ALLOW = 0x7FFF0000
REFUSE = 0x00050000
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06


def instruction(code, if_true, if_false, value):
    return struct.pack("HBBI", code, if_true, if_false, value)


def program(calls):
    """The words of struct seccomp_data: the call's number, the architecture, and from 16 on the arguments."""
    numbers = NUMBERS[platform.machine()]
    code = [
        instruction(LOAD_WORD, 0, 0, 4),
        instruction(JUMP_EQUAL, 1, 0, numbers["audit"]),
        instruction(RETURN, 0, 0, ALLOW),
    ]
    for given in calls:
        call, _, error = given.partition("=")
        call, _, name = call.partition(":")
        verdict = instruction(RETURN, 0, 0, REFUSE | getattr(errno, error or "EPERM"))
        code.append(instruction(LOAD_WORD, 0, 0, 0))
        if name:
            argument, names = (1, fcntl) if call == "fcntl" else (0, socket)
            code.append(instruction(JUMP_EQUAL, 0, 3, numbers[call]))
            code.append(instruction(LOAD_WORD, 0, 0, 16 + 8 * argument))
            code.append(instruction(JUMP_EQUAL, 0, 1, getattr(names, name)))
        else:
            code.append(instruction(JUMP_EQUAL, 0, 1, numbers[call]))
        code.append(verdict)
    code.append(instruction(RETURN, 0, 0, ALLOW))
    return b"".join(code), len(code)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def main():
    calls, command = sys.argv[1].replace("container", CONTAINER).split(","), sys.argv[2:]
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
