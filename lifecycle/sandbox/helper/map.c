/* Namespaces and the single id map: the caller's own id under the name the build expects. No
 * newuidmap, no /etc/subuid; files made inside belong to the caller outside. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"

/* fork with namespaces; musl's own clone() wants a second stack, the kernel does not. */
pid_t clone_into(unsigned long flags) {
  return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

unsigned long namespace_flags(const struct options *o) {
  unsigned long flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
  if (o->userns) flags |= CLONE_NEWUSER;
  if (o->pidns) flags |= CLONE_NEWPID;
  if (o->netns) flags |= CLONE_NEWNET;
  return flags;
}

static int put(const char *path, const char *text, int length) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int done = (int)write(fd, text, (size_t)length);
  int error = errno;
  close(fd);
  errno = error;
  return done == length ? 0 : -1;
}

/* Called inside the new namespace. 0, or -1 with errno. */
int map_single_ids(uid_t uid, gid_t gid, uid_t outer_uid, gid_t outer_gid) {
  char text[64];
  /* The kernel takes a gid map from a plain user only after setgroups was given up (CVE-2014-8989).
   * Kernels before 3.19 have no such file. */
  if (put("/proc/self/setgroups", "deny", 4) != 0 && errno != ENOENT) return -1;
  if (put("/proc/self/uid_map", text, snprintf(text, sizeof text, "%u %u 1", uid, outer_uid))) {
    return -1;
  }
  return put("/proc/self/gid_map", text, snprintf(text, sizeof text, "%u %u 1", gid, outer_gid));
}
