/* Giving up rights, in the one order that works: what needs a right comes before the right goes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"

void close_from_three(void) {
  if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0) return;
  /* Before 5.9, or refused by an engine's old filter. */
  DIR *open_files = opendir("/proc/self/fd");
  if (!open_files) {
    for (int fd = 3; fd < 65536; fd++) close(fd);
    return;
  }
  for (struct dirent *entry; (entry = readdir(open_files));) {
    int fd = atoi(entry->d_name);
    if (fd > 2 && fd != dirfd(open_files)) close(fd);
  }
  closedir(open_files);
}

/* Leaves the reaper the right to signal the build of another uid, or nothing at all. */
void keep_only_kill(bool keep) {
  struct cap_header header = {CAP_VERSION_3, 0};
  struct cap_data data[2];
  memset(data, 0, sizeof data);
  if (keep) data[0].effective = data[0].permitted = 1u << CAP_KILL;
  syscall(SYS_capset, &header, data);
}

static void limit(int what, rlim_t soft, bool raise_only) {
  struct rlimit now;
  if (getrlimit(what, &now) != 0) return;
  if (soft > now.rlim_max) soft = now.rlim_max;
  if (raise_only && (now.rlim_cur == RLIM_INFINITY || now.rlim_cur >= soft)) return;
  now.rlim_cur = soft;
  if (!raise_only) now.rlim_max = soft;
  setrlimit(what, &now);
}

static void default_signals(void) {
  static const uint64_t action[8]; /* the kernel's struct, all zero: SIG_DFL, no flags */
  /* The runtime above us ignores SIGPIPE, and an ignored signal survives execve: `yes | head` in a
   * buildpack would never end. Not sigaction(): libc keeps 32 to 34 for itself. */
  for (int signal = 1; signal < 65; signal++) {
    syscall(SYS_rt_sigaction, signal, action, NULL, sizeof(uint64_t));
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* For root that runs commands of a Dockerfile: over files, owners and its own processes, and no
 * more. It is what engines leave, without MKNOD, NET_RAW and AUDIT_WRITE. */
#define KEPT                                                                                 \
  (1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID |            \
   1u << CAP_KILL | 1u << CAP_SETGID | 1u << CAP_SETUID | 1u << CAP_SETPCAP |                  \
   1u << CAP_NET_BIND_SERVICE | 1u << CAP_SYS_CHROOT | 1u << CAP_SETFCAP)

/* Behind plain chroot(2) that right would be the way out again. */
static uint32_t kept(const struct options *o) {
  return o->chroot ? KEPT & ~(1u << CAP_SYS_CHROOT) : KEPT;
}

static void keep_container_rights(const struct options *o) {
  struct cap_header header = {CAP_VERSION_3, 0};
  struct cap_data data[2];
  memset(data, 0, sizeof data);
  if (syscall(SYS_capget, &header, data) != 0) fail(EXIT_HELPER, "read", "capabilities", errno);
  data[0].permitted &= kept(o);
  data[0].effective = data[0].permitted;
  data[0].inheritable = data[1].effective = data[1].permitted = data[1].inheritable = 0;
  if (syscall(SYS_capset, &header, data) != 0) fail(EXIT_HELPER, "drop", "capabilities", errno);
}

static void drop_ids(const struct options *o) {
  /* First of all: it needs SETPCAP, and after setresuid it fails without a word. Where we have no
   * capabilities it cannot succeed and need not. */
  for (int cap = 0; cap < 64; cap++) {
    if (o->keep_caps && cap < 32 && kept(o) >> cap & 1) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno == EINVAL) break;
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (!o->set_ids) return;
  /* In a single id map groups cannot be changed; what they could open is not in the view. */
  if (!o->userns && geteuid() == 0 && setgroups(1, &o->gid) != 0) {
    fail(EXIT_HELPER, "clear", "supplementary groups", errno);
  }
  if (setresgid(o->gid, o->gid, o->gid) != 0) fail(EXIT_HELPER, "become", "build group", errno);
  if (setresuid(o->uid, o->uid, o->uid) != 0) fail(EXIT_HELPER, "become", "build user", errno);
}

static bool any_capability(void) {
  struct cap_header header = {CAP_VERSION_3, 0};
  struct cap_data data[2];
  memset(data, 0, sizeof data);
  if (syscall(SYS_capget, &header, data) != 0) return true;
  return data[0].effective || data[0].permitted || data[0].inheritable || data[1].effective ||
         data[1].permitted || data[1].inheritable;
}

/* From fork to just before execve. `reaper` is who must still be our parent at the end. */
void drop_everything(const struct options *o, pid_t reaper) {
  setsid(); /* no controlling terminal; also a process group of its own to send signals to */
  if (o->terminal) ioctl(0, TIOCSCTTY, 0); /* but the one made for it */
  default_signals();
  limit(RLIMIT_CORE, 0, false);
  limit(RLIMIT_NOFILE, 65536, true);
  if (o->nproc > 0) limit(RLIMIT_NPROC, (rlim_t)o->nproc, false);
  drop_ids(o);
  if (o->keep_caps) keep_container_rights(o);
  else keep_only_kill(false);
  if (!o->keep_caps && any_capability()) fail(EXIT_HELPER, "drop", "capabilities", EPERM);
  /* Only now: every change of ids forgets it. */
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != reaper) _exit(EXIT_HELPER);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    fail(EXIT_HELPER, "set", "no_new_privs", errno);
  }
  if (o->landlock) landlock_fence(o);
  int error = seccomp_deny();
  if (error != 0) fail(EXIT_HELPER, "install", "system call filter", error);
}
