/* The program's control group: opened where its path can be seen, entered by the program's process
 * while it still has our rights. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "helper.h"

static int members = -1;

void cgroup_open(const char *directory) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/cgroup.procs", directory);
  members = open(path, O_WRONLY | O_CLOEXEC);
  if (members < 0) fail(EXIT_HELPER, "open control group", directory, errno);
}

/* 0 is whoever writes it. */
void cgroup_enter(void) {
  if (members < 0) return;
  if (write(members, "0", 1) != 1) fail(EXIT_HELPER, "enter", "control group", errno);
  close(members);
}
