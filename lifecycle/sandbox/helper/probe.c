/* What this machine lets us do, found by doing it in a child. One line of JSON on stdout. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"

/* How far a child came, and why no further. "ok" is the whole way. */
struct attempt {
  const char *stage;
  int error;
};

static const char *const stages[] = {"ok", "clone", "map", "private", "proc", "tmpfs", "pivot"};
enum stage { AT_OK, AT_CLONE, AT_MAP, AT_PRIVATE, AT_PROC, AT_TMPFS, AT_PIVOT };

static int stop(enum stage stage) {
  return (int)stage << 8 | (errno & 0xff);
}

/* The same calls, in the same order, as a view makes them. /proc serves as the stage: it is the
 * one directory that is sure to be there. */
static int try_view(bool userns, bool pidns, uid_t uid, gid_t gid) {
  if (userns && map_single_ids(1000, 1000, uid, gid) != 0) return stop(AT_MAP);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return stop(AT_PRIVATE);
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (pidns && mount("proc", "/proc", "proc", flags, NULL) != 0) return stop(AT_PROC);
  if (mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k") != 0) return stop(AT_TMPFS);
  if (chdir("/proc") != 0 || view_pivot() != 0) return stop(AT_PIVOT);
  return 0;
}

static struct attempt attempt(bool userns, bool pidns) {
  const struct options o = {.userns = userns, .pidns = pidns};
  uid_t uid = geteuid();
  gid_t gid = getegid();
  int answer[2], result = 0;
  if (pipe(answer) != 0) return (struct attempt){"pipe", errno};
  pid_t child = clone_into(namespace_flags(&o));
  if (child < 0) {
    result = stop(AT_CLONE);
  } else if (child == 0) {
    result = try_view(userns, pidns, uid, gid);
    _exit(write(answer[1], &result, sizeof result) == sizeof result ? 0 : 1);
  } else {
    close(answer[1]); /* or a child that dies would leave us waiting */
    answer[1] = -1;
    if (read(answer[0], &result, sizeof result) != sizeof result) result = stop(AT_CLONE);
    while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR) {}
  }
  close(answer[0]);
  if (answer[1] >= 0) close(answer[1]);
  return (struct attempt){stages[result >> 8], result & 0xff};
}

static int try_seccomp(void) {
  pid_t child = fork();
  if (child == 0) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(errno);
    _exit(seccomp_deny());
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static const char *truth(bool value) {
  return value ? "true" : "false";
}

static void print_attempt(const char *name, struct attempt a) {
  printf("\"%s\":{\"stage\":\"%s\",\"errno\":%d},", name, a.stage, a.error);
}

int probe(void) {
  struct utsname system;
  struct cap_header header = {CAP_VERSION_3, 0};
  struct cap_data caps[2];
  memset(caps, 0, sizeof caps);
  syscall(SYS_capget, &header, caps);
  uname(&system);
  printf("{\"kernel\":\"%s\",\"uid\":%u,\"gid\":%u,", system.release, geteuid(), getegid());
  fflush(stdout); /* or the children print it again */
  print_attempt("userns", attempt(true, true));
  print_attempt("usernsWithoutPids", attempt(true, false));
  print_attempt("rootns", attempt(false, true));
  print_attempt("rootnsWithoutPids", attempt(false, false));
  printf("\"landlock\":%d,\"seccomp\":%d,\"noNewPrivs\":%s,", landlock_abi(), try_seccomp(),
         truth(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1));
  printf("\"setuid\":%s,\"setgid\":%s,\"chown\":%s,\"kill\":%s,\"chroot\":%s}\n",
         truth(caps[0].effective >> CAP_SETUID & 1), truth(caps[0].effective >> CAP_SETGID & 1),
         truth(caps[0].effective >> CAP_CHOWN & 1), truth(caps[0].effective >> CAP_KILL & 1),
         truth(caps[0].effective >> CAP_SYS_CHROOT & 1));
  return fflush(stdout) == 0 ? 0 : EXIT_HELPER;
}
