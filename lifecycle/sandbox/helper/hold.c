/* An overlay over a tree that others use too, mounted where nobody but us sees it, for as long as our input is open:
 * our caller looks at it and changes it through /proc/PID/root, and `run --join PID` runs programs in it. One mount
 * for all, since two over the same upper directory may not be. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "helper.h"

/* A name of a file that has several. */
struct name {
  ino_t inode;
  char *path; /* in the tree, with a slash in front */
};

static struct name *names;
static size_t count, room, prefix;

static int note(const char *path, const struct stat *about, int kind, struct FTW *at) {
  (void)at;
  if (kind != FTW_F || about->st_nlink < 2 || !S_ISREG(about->st_mode)) return 0;
  if (count == room) {
    room = room ? 2 * room : 256;
    names = realloc(names, room * sizeof *names);
    if (!names) fail(EXIT_HELPER, "remember", path, ENOMEM);
  }
  char *copy = strdup(path + prefix);
  if (!copy) fail(EXIT_HELPER, "remember", path, ENOMEM);
  names[count++] = (struct name){about->st_ino, copy};
  return 0;
}

static int by_inode(const void *a, const void *b) {
  const struct name *one = a, *other = b;
  if (one->inode != other->inode) return one->inode < other->inode ? -1 : 1;
  return strcmp(one->path, other->path);
}

/* An overlay parts the names of a file when one of them is written to. So that a write to one goes on being a write
 * to all, as on any other file system, such files are brought up beforehand, with all their names. */
static void keep_links(const char *lower, const char *stage) {
  prefix = strlen(lower);
  if (nftw(lower, note, 32, FTW_PHYS | FTW_MOUNT) != 0) fail(EXIT_HELPER, "read", lower, errno);
  qsort(names, count, sizeof *names, by_inode);
  int top = open(stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (top < 0) fail(EXIT_HELPER, "open", stage, errno);
  for (size_t i = 0; i < count; i++) {
    const char *path = names[i].path + 1;
    if (i > 0 && names[i].inode == names[i - 1].inode) {
      if (unlinkat(top, path, 0) != 0 || linkat(top, names[i - 1].path + 1, top, path, 0) != 0) {
        fail(EXIT_HELPER, "link", path, errno);
      }
      continue;
    }
    int file = openat(top, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) fail(EXIT_HELPER, "copy", path, errno);
    close(file);
  }
  close(top);
}

/* Without attributes a directory that is made anew would show what was in the old one. */
static void need_attributes(const struct options *o) {
  const char *name = view_has_user_marks(o) ? "user.wherry" : "trusted.wherry";
  if (setxattr(o->work, name, "", 0, 0) != 0) fail(EXIT_HELPER, "set an attribute of", o->work, errno);
  removexattr(o->work, name);
}

/* `STAGE LOWER UPPER WORK`, and `user` for a namespace with the caller's id alone. */
int hold(char **words) {
  for (int i = 0; i < 4; i++) {
    if (!words[i]) fail(EXIT_HELPER, "read", "options of hold", EINVAL);
  }
  struct options o;
  memset(&o, 0, sizeof o);
  o.stage = words[0], o.lower = words[1], o.upper = words[2], o.work = words[3];
  o.userns = words[4] && !strcmp(words[4], "user");
  umask(022);
  close_from_three();
  uid_t uid = geteuid();
  gid_t gid = getegid();
  if (unshare(CLONE_NEWNS | (o.userns ? CLONE_NEWUSER : 0)) != 0) fail(EXIT_HELPER, "make", "namespaces", errno);
  /* Under no name that means anything: who runs something in here is mapped once more. */
  if (o.userns && map_single_ids(1, 1, uid, gid) != 0) fail(EXIT_HELPER, "map", "ids", errno);
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail(EXIT_HELPER, "make private", "/", errno);
  need_attributes(&o);
  view_overlay(&o);
  keep_links(o.lower, o.stage);
  if (write(1, "held\n", 5) != 5) return EXIT_HELPER;
  char end;
  while (read(0, &end, 1) > 0 || errno == EINTR) errno = 0;
  return 0;
}

static int open_namespace(pid_t holder, const char *kind) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)holder, kind);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(EXIT_HELPER, "open", path, errno);
  return fd;
}

/* The namespaces of a holder become ours. */
void hold_join(const struct options *o) {
  int mounts = open_namespace(o->join, "mnt");
  if (o->userns) {
    int ids = open_namespace(o->join, "user");
    if (setns(ids, CLONE_NEWUSER) != 0) fail(EXIT_HELPER, "enter", "the ids of a holder", errno);
    close(ids);
  }
  if (setns(mounts, CLONE_NEWNS) != 0) fail(EXIT_HELPER, "enter", "the mounts of a holder", errno);
  close(mounts);
}
