/* System calls a build has no business with: about what container engines refuse by default. A
 * deny list, because a build may use anything else, and because a second fence need not be tight. */
#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"

static const uint16_t refused[] = {
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_setns, SYS_open_tree, SYS_move_mount, SYS_fsopen,
    SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, NR_open_tree_attr,
    SYS_keyctl, SYS_add_key, SYS_request_key,
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd,
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_kexec_file_load,
    SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl, SYS_syslog,
    SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_lookup_dcookie,
    425, 426, 427, /* io_uring: outside the reach of seccomp, and refused by engines since 2023 */
};

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define NAMESPACES 0x7e020000u /* NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET */
#define NEWTIME 0x80u /* in unshare's flags only; for clone these bits are the exit signal */
#define X32 0x40000000u

static struct sock_filter program[2 * COUNT(refused) + 32];
static unsigned short length;

static void add(uint16_t code, uint32_t k, uint8_t jt, uint8_t jf) {
  program[length++] = (struct sock_filter){code, jt, jf, k};
}

/* If the system call is `nr` and its argument has any of `bits`, refuse it. */
static void refuse_bits(uint32_t nr, unsigned argument, uint32_t bits) {
  add(BPF_EQUAL, nr, 0, 4);
  add(BPF_LOAD, 16 + 8 * argument, 0, 0); /* low half: both architectures are little endian */
  add(BPF_ANYBIT, bits, 0, 1);
  add(BPF_RETURN, SECCOMP_ERRNO(EPERM), 0, 0);
  add(BPF_RETURN, SECCOMP_ALLOW, 0, 0);
}

static void refuse_value(uint32_t nr, unsigned argument, uint32_t value) {
  add(BPF_EQUAL, nr, 0, 4);
  add(BPF_LOAD, 16 + 8 * argument, 0, 0);
  add(BPF_EQUAL, value, 0, 1);
  add(BPF_RETURN, SECCOMP_ERRNO(EPERM), 0, 0);
  add(BPF_LOAD, 0, 0, 0); /* not this one: the number again, for the tests that follow */
}

int seccomp_deny(void) {
  length = 0;
  add(BPF_LOAD, 4, 0, 0); /* arch */
  add(BPF_EQUAL, AUDIT_HERE, 1, 0);
  add(BPF_RETURN, SECCOMP_ERRNO(ENOSYS), 0, 0);
  add(BPF_LOAD, 0, 0, 0); /* nr */
#if defined(__x86_64__)
  add(BPF_ATLEAST, X32, 0, 1);
  add(BPF_RETURN, SECCOMP_ERRNO(ENOSYS), 0, 0);
#endif
  for (size_t i = 0; i < COUNT(refused); i++) {
    add(BPF_EQUAL, refused[i], 0, 1);
    add(BPF_RETURN, SECCOMP_ERRNO(EPERM), 0, 0);
  }
  /* clone3 hides its flags in memory; libc falls back to clone when told it does not exist. */
  add(BPF_EQUAL, SYS_clone3, 0, 1);
  add(BPF_RETURN, SECCOMP_ERRNO(ENOSYS), 0, 0);
  refuse_value(SYS_ioctl, 1, 0x5412); /* TIOCSTI: typing into someone's terminal */
  refuse_value(SYS_ioctl, 1, 0x541c); /* TIOCLINUX: the same on a console */
  refuse_bits(SYS_unshare, 0, NAMESPACES | NEWTIME);
  refuse_bits(SYS_clone, 0, NAMESPACES);
  add(BPF_RETURN, SECCOMP_ALLOW, 0, 0);

  struct sock_fprog filter = {length, program};
  /* SPEC_ALLOW: without it kernels before 5.16 slow every branch of the build (SSBD). */
  if (syscall(SYS_seccomp, SECCOMP_SET_FILTER, SECCOMP_SPEC_ALLOW, &filter) == 0) return 0;
  if (prctl(PR_SET_SECCOMP, 2, &filter, 0, 0) == 0) return 0;
  return errno;
}
