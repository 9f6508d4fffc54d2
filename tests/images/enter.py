"""Runs a program as who runs containers does: among the files of an image alone, as its user, without a right of root's.

The argument is JSON: `root`, the folder of the image's files; `user` and `group`, numbers; `cwd`, `env`, `argv`. With
`mounts`, an object of folders by where they are to be seen, it is the first program of the container: the files are mounted
read-only, and those folders in them.
"""

import ctypes
import json
import os
import subprocess
import sys

PR_SET_NO_NEW_PRIVS = 38


def mount(*args):
    subprocess.run(["mount", *args], check=True)


def lay_out(root, mounts):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    mount("--make-rprivate", "/")
    mount("--bind", root, root)
    for place, folder in mounts.items():
        mount("--bind", folder, root + place)
        mount("-o", "remount,bind,ro", root + place)
    mount("--rbind", "/dev", root + "/dev")
    mount("-o", "remount,bind,ro", root)
    mount("-t", "proc", "proc", root + "/proc")
    # What is large of forms is put down there; nobody is given more.
    mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", root + "/tmp")


def main():
    told = json.loads(sys.argv[1])
    if told.get("mounts") is not None:
        lay_out(told["root"], told["mounts"])
    os.chroot(told["root"])
    os.chdir(told["cwd"])
    os.setgroups([])
    os.setgid(told["group"])
    os.setuid(told["user"])
    if ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError("no_new_privs is refused")
    os.execve(told["argv"][0], told["argv"], told["env"])


main()
