"""A filter of system calls (seccomp), by `ctypes`: what Landlock leaves open of other processes and of the machine."""

import ctypes
import errno
import functools
import os
import platform
import struct
import sys

from labkit.course.box.landlock import libc

# Numbers from <asm/unistd.h> and <linux/seccomp.h>.
# name: (x86_64, aarch64); None where there is no such call
FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    # other programs and processes
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "process_madvise": (440, 440), "kcmp": (312, 272), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122), "setpgid": (109, 154), "setsid": (112, 157), "unshare": (272, 97), "setns": (308, 268),
    # the network, and memory that outlives or escapes the account of a process
    "socket": (41, 198), "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "msgget": (68, 186),
    "semget": (64, 190), "mq_open": (240, 180), "io_uring_setup": (425, 425), "mlock": (149, 228), "mlockall": (151, 230),
    # the machine
    "mount": (165, 40), "umount2": (166, 39), "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "pivot_root": (155, 41), "chroot": (161, 51), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "syslog": (103, 116), "acct": (163, 89),
    "quotactl": (179, 60), "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "sethostname": (170, 161), "setdomainname": (171, 162), "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264), "fanotify_init": (300, 262), "personality": (135, 92), "vhangup": (153, 58),
}  # fmt: skip
# Landlock leaves modes, owners, times and attributes alone. To change them succeeds, and does nothing.
PRETENDED: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
}  # fmt: skip
OWN = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}  # only on the process itself
CLONE, CLONE3 = (56, 220), (435, 435)
THREAD = 0x10000  # CLONE_THREAD
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
ALLOWED, REFUSED = 0x7FFF0000, 0x00050000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def program(pid: int, machine: str) -> bytes:
    """The filter, in the kernel's small language: (code, jump if true, jump if false, value) by eight bytes."""
    column, architecture = MACHINES[machine]
    lines: list[tuple[int, int, int, int]] = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, REFUSED | errno.EPERM),
    ]
    lines += [(LOAD, 0, 0, 0), (AT_LEAST, 0, 1, 0x40000000), (RETURN, 0, 0, REFUSED | errno.EPERM)]  # x86's second numbering
    for calls, answer in ((FORBIDDEN, errno.EPERM), (PRETENDED, 0)):
        for number in (numbers[column] for numbers in calls.values()):
            lines += [] if number is None else [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSED | answer)]
    lines += [(EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, REFUSED | errno.ENOSYS)]  # libc then takes clone, which shows flags
    lines += [(EQUAL, 0, 4, CLONE[column]), (LOAD, 0, 0, 16), (ANY_BIT, 0, 1, THREAD), (RETURN, 0, 0, ALLOWED)]
    lines += [(RETURN, 0, 0, REFUSED | errno.EPERM)]
    for name, number in ((name, numbers[column]) for name, numbers in OWN.items()):
        mine = [(EQUAL, 2, 0, pid), (EQUAL, 1, 0, 0)] if name == "prlimit64" else [(EQUAL, 1, 0, pid)]  # 0 means: myself
        lines += [(EQUAL, 0, 3 + len(mine), number), (LOAD, 0, 0, 16), *mine]
        lines += [(RETURN, 0, 0, REFUSED | errno.EPERM), (RETURN, 0, 0, ALLOWED)]
    lines += [(RETURN, 0, 0, ALLOWED)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


@functools.cache
def works() -> bool:
    """Whether this kernel takes filters of system calls, and we know its numbers."""
    if sys.platform != "linux" or platform.machine() not in MACHINES or sys.maxsize < 2**32:
        return False
    libc().prctl(22, 2, None, 0, 0)  # no program: EFAULT where there are filters, EINVAL where there are none
    return ctypes.get_errno() == errno.EFAULT


def enter() -> None:
    """From here on no system call that reaches beyond this process.

    Raises:
        OSError: the kernel refused.
    """
    code = ctypes.create_string_buffer(program(os.getpid(), platform.machine()))
    given = struct.pack("@HxxxxxxP", ctypes.sizeof(code) // 8, ctypes.addressof(code))
    if libc().prctl(22, 2, ctypes.c_char_p(given), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused the filter of system calls")
