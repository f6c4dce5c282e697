/**
 * What the default filters of system calls of Docker and containerd let through, for processes with the capabilities
 * that engines give by default. Everything else is EPERM, and `clone3` ENOSYS, so that libraries fall back to `clone`.
 */

/** Whose filter; Kubernetes' RuntimeDefault is containerd's there. */
export type Engine = "docker" | "containerd";

/** Always allowed by both, by their names on amd64 and arm64. */
const ALLOWED = `
accept accept4 access adjtimex alarm arch_prctl bind brk capget capset chdir chmod chown clock_adjtime clock_getres
clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
fadvise64 fallocate fanotify_mark fchdir fchmod fchmodat fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_waitv futimesat get_robust_list get_thread_area getcpu
getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid
getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self
lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier
memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt mprotect
mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock
munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe
pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease
process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl
semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid
setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt
setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat statfs statx
symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink
unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
`;

/** The capabilities of a container of Docker. */
export const DOCKER_CAPABILITIES: readonly string[] = [
  "AUDIT_WRITE",
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "MKNOD",
  "NET_BIND_SERVICE",
  "NET_RAW",
  "SETFCAP",
  "SETGID",
  "SETPCAP",
  "SETUID",
  "SYS_CHROOT",
].map((name) => `CAP_${name}`);

/** All flags of `clone` that make a namespace. */
const NAMESPACES = 0x7e020000;
const ENOSYS = 38;

/** Allowed by containerd 2 beside those: calls of newer kernels. */
const NEWER = `
cachestat fchmodat2 futex_requeue futex_wait futex_wake getxattrat listmount listxattrat lsm_get_self_attr
lsm_list_modules lsm_set_self_attr map_shadow_stack mseal removexattrat setxattrat statmount uretprobe
`;

const AF_ALG = 38;
const AF_VSOCK = 40;

/** `linux.seccomp` of a runtime's configuration. `chroot` needs its capability. */
export function engineSeccomp(
  engine: Engine,
  capabilities: readonly string[],
): Record<string, unknown> {
  const allow = (names: readonly string[], ...args: readonly Record<string, unknown>[]) => ({
    names,
    action: "SCMP_ACT_ALLOW",
    args,
  });
  const names = `${ALLOWED} ${engine === "containerd" ? NEWER : ""}`.split(/\s+/)
    .filter((name) => name !== "");
  const socket = (value: number, op: string) => allow(["socket"], { index: 0, value, op });
  const personalities = [0, 8, 0x20000, 0x20008, 0xffffffff];
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: [Deno.build.arch === "aarch64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"],
    syscalls: [
      allow(capabilities.includes("CAP_SYS_CHROOT") ? [...names, "chroot"] : names),
      ...engine === "docker" ? [socket(AF_VSOCK, "SCMP_CMP_NE")] : [
        socket(AF_ALG, "SCMP_CMP_LT"),
        socket(AF_ALG + 1, "SCMP_CMP_EQ"),
        socket(AF_VSOCK, "SCMP_CMP_GT"),
      ],
      ...personalities.map((value) =>
        allow(["personality"], { index: 0, value, op: "SCMP_CMP_EQ" })
      ),
      allow(["clone"], { index: 0, value: NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }),
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
    ],
  };
}
