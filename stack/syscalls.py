"""What participants' programs may ask of the kernel: a seccomp profile for Docker.

Its default profile has no word about project quotas: whoever owns a file may move it to another
project, and is out of their limit with it. A profile takes the default's place, so this one also
forbids what the default keeps from programs without capabilities. A call that is not named here is
not there, as on an older kernel: nobody knows yet what a new one opens, nor has the machine's
libseccomp a name for it. 32-bit programs, whose calls have other numbers, do not run at all.
"""

import errno
import json

ALLOWED = """
    accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod
    chown clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat
    dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
    eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark
    fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr file_getattr
    flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue
    futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd
    getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp
    getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
    getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup
    io_submit ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
    landlock_restrict_self lchown lgetxattr link linkat listen listxattr listxattrat llistxattr
    lremovexattr lseek lsetxattr lsm_get_self_attr lsm_list_modules lstat madvise map_shadow_stack
    membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall
    mmap modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink
    mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at
    nanosleep newfstatat open openat openat2 pause personality pidfd_getfd pidfd_open
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv
    preadv2 prlimit64 process_madvise process_mrelease process_vm_readv process_vm_writev pselect6
    ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg
    recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall
    rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select
    semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area
    set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
    setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr setxattrat shmat shmctl
    shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx symlink
    symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
    times tkill truncate umask uname unlink unlinkat uretprobe utime utimensat utimes vfork vmsplice
    wait4 waitid write writev
"""

FORBIDDEN = """
    acct add_key bpf chroot clock_adjtime clock_settime create_module delete_module fanotify_init
    file_setattr finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy
    init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load
    kexec_load keyctl listmount lookup_dcookie lsm_set_self_attr mbind migrate_pages mount
    mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree open_tree_attr
    perf_event_open pivot_root query_module quotactl quotactl_fd reboot request_key set_mempolicy
    set_mempolicy_home_node setdomainname sethostname setns settimeofday statmount stime swapoff
    swapon sysfs syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old _sysctl
"""

LOWER = 0xFFFFFFFF  # what the kernel reads of an int
NAMESPACES = (0x00020000, *(1 << bit for bit in range(25, 31)))  # CLONE_NEW…
CALLS = (  # of ioctl, which the kernel names by the lowest 16 bits that these have
    0x5820,  # FS_IOC_FSSETXATTR: a file's project
    0x6602,  # FS_IOC_SETFLAGS: whether what comes below inherits it
    0x5412,  # TIOCSTI: typing into somebody's terminal
)
FAMILIES = (38, 40)  # of sockets: AF_ALG; AF_VSOCK, which is a virtual machine's host


def others(bits: int, values: tuple[int, ...]) -> list[tuple[int, int]]:
    """Masks, and what they have to leave, of all numbers of so many bits but these `values`.

    seccomp knows no "none of": each pair is the other half of a fork on the way to one of them.
    """
    found = set()
    for bit in range(bits):
        mask = (1 << bits) - (1 << bit)
        found |= {(mask, (value ^ 1 << bit) & mask) for value in values}
    return sorted(
        (mask, left) for mask, left in found if all(value & mask != left for value in values)
    )


# call, argument, its bits, what they have to be. Neither half of a number is forgotten: the kernel
# reads the lower one, whatever is in the upper.
PARTLY_ALLOWED = (
    *(("ioctl", 1, mask, left) for mask, left in others(16, CALLS)),
    *(("socket", 0, mask | LOWER ^ 63, left) for mask, left in others(6, FAMILIES)),
    ("clone", 0, sum(NAMESPACES), 0),
)


def profile() -> str:
    """As the engine's `security_opt` takes it."""
    rules = [
        {"names": ALLOWED.split(), "action": "SCMP_ACT_ALLOW"},
        {"names": FORBIDDEN.split(), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM},
    ]
    for name, index, mask, left in PARTLY_ALLOWED:
        test = {"index": index, "value": mask, "valueTwo": left, "op": "SCMP_CMP_MASKED_EQ"}
        rules.append({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [test]})
    # clone3, too, is not there: its flags can't be seen from here, and all fall back.
    default = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": errno.ENOSYS}
    return json.dumps(default | {"syscalls": rules})
