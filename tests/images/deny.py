"""Runs a program in which one system call fails: what a kernel without IPv6, or without a further inotify, answers.

    deny.py socket:10 EAFNOSUPPORT program argument...      only for that first argument, here AF_INET6
    deny.py inotify_init1 EMFILE program argument...

By a seccomp filter (seccomp(2)), so that it holds for the program and for all that it starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {
    "x86_64": {"socket": 41, "inotify_init1": 294},
    "aarch64": {"socket": 198, "inotify_init1": 26},
}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER_AT, ARGUMENT_AT = 0, 16


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def deny(call: str, error: int) -> None:
    """From now on the call fails in this process, with that errno."""
    name, _, argument = call.partition(":")
    steps = [(LOAD, 0, 0, NUMBER_AT), (JUMP_IF_EQUAL, 0, 3 if argument else 1, NUMBERS[platform.machine()][name])]
    if argument:
        steps += [(LOAD, 0, 0, ARGUMENT_AT), (JUMP_IF_EQUAL, 0, 1, int(argument))]
    steps += [(RETURN, 0, 0, ERRNO | error), (RETURN, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(steps), code)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program))):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    deny(sys.argv[1], getattr(errno, sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
