/*
 * Stands between a program and the C library (LD_PRELOAD) and counts every call that changes a file below one
 * directory. At the N-th it kills the process, fails the call, or keeps a picture of the directory as a crash at
 * that moment would leave it:
 *   now   what a killed process leaves: all that was written
 *   lost  what a power cut leaves at worst: only what was synced; names only when their directory was synced
 *   mix   what a power cut may leave, too: of the rest, some blocks and some names
 * The tests load the same file by FFI to steer it. Files are held in memory, so the directory must be small.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OFF, KILL, FAIL_ONCE, FAIL_FROM, COUNT, PICTURES };

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char top[PATH_MAX];   /* the directory; empty: nothing is watched */
static size_t top_length;
static int mode = OFF, failure, fired, acked;
static int64_t calls, target;
static char pictures[PATH_MAX];
static int64_t taken;

/* What is on the disk for certain. */
struct entry { char name[NAME_MAX + 1]; ino_t ino; };
struct inode {
  ino_t ino;
  int is_directory;
  mode_t mode;
  char *data;
  size_t size;
  struct entry *entries;
  size_t count;
  struct inode *next;
};
static struct inode *disk;

#define REAL(name) ({ static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); real; })

static struct inode *inode_of(struct inode **map, ino_t ino, int make) {
  for (struct inode *i = *map; i; i = i->next) if (i->ino == ino) return i;
  if (!make) return NULL;
  struct inode *i = calloc(1, sizeof *i);
  i->ino = ino;
  i->next = *map;
  *map = i;
  return i;
}

static void forget(struct inode **map) {
  while (*map) {
    struct inode *i = *map;
    *map = i->next;
    free(i->data);
    free(i->entries);
    free(i);
  }
}

/* Reads the file or directory at `path` into `map`; down through directories when `deep`. */
static void load(struct inode **map, const char *path, int deep) {
  struct stat info;
  if (lstat(path, &info) != 0) return;
  struct inode *i = inode_of(map, info.st_ino, 1);
  i->mode = info.st_mode & 07777;
  i->is_directory = S_ISDIR(info.st_mode);
  free(i->data); i->data = NULL; i->size = 0;
  free(i->entries); i->entries = NULL; i->count = 0;
  if (!i->is_directory) {
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return;
    i->data = malloc(info.st_size + 1);
    while (i->size < (size_t)info.st_size) {
      ssize_t got = pread(fd, i->data + i->size, info.st_size - i->size, i->size);
      if (got <= 0) break;
      i->size += got;
    }
    syscall(SYS_close, fd);
    return;
  }
  DIR *dir = opendir(path);
  if (!dir) return;
  for (struct dirent *d; (d = readdir(dir));) {
    size_t length = strlen(d->d_name);
    if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..")) continue;
    if (length > 4 && !strcmp(d->d_name + length - 4, "-shm")) continue; /* rebuilt after every crash */
    if (!strcmp(d->d_name, "ballast")) continue;
    i->entries = realloc(i->entries, (i->count + 1) * sizeof *i->entries);
    strcpy(i->entries[i->count].name, d->d_name);
    i->entries[i->count++].ino = d->d_ino;
    if (deep) {
      char below[PATH_MAX];
      snprintf(below, sizeof below, "%s/%s", path, d->d_name);
      load(map, below, 1);
    }
  }
  closedir(dir);
}

static uint64_t coin_state;
static int coin(void) {
  coin_state ^= coin_state << 13; coin_state ^= coin_state >> 7; coin_state ^= coin_state << 17;
  return (coin_state >> 33) & 1;
}

static ino_t named(const struct inode *i, const char *name) {
  for (size_t at = 0; i && at < i->count; at++) if (!strcmp(i->entries[at].name, name)) return i->entries[at].ino;
  return 0;
}

/* Writes one inode as `to`: of `a` alone, or, with `b`, of either at every turn. */
static void restore(struct inode **a, struct inode **b, ino_t ino, const char *to) {
  struct inode *one = inode_of(a, ino, 0), *two = b ? inode_of(b, ino, 0) : NULL;
  if (!one && !two) return;
  int is_directory = (one ? one : two)->is_directory;
  if (!is_directory) {
    /* A name that was synced before its bytes is an empty file. */
    size_t size = one ? one->size : 0;
    if (two && (!one || two->size != size) && coin()) size = two->size;
    char *data = calloc(1, size + 1);
    for (size_t at = 0; at < size; at += 4096) {
      struct inode *from = one && !(two && coin()) ? one : two ? two : one;
      size_t end = at + 4096 < size ? at + 4096 : size;
      if (from && from->size > at) {
        if (end > from->size) end = from->size;
        memcpy(data + at, from->data + at, end - at);
      }
    }
    int fd = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (size_t at = 0; at < size;) at += syscall(SYS_write, fd, data + at, size - at);
    free(data);
    syscall(SYS_fchmod, fd, (one ? one : two)->mode);
    syscall(SYS_close, fd);
    return;
  }
  syscall(SYS_mkdirat, AT_FDCWD, to, 0700);
  for (int turn = 0; turn < 2; turn++) {
    struct inode *from = turn ? two : one, *other = turn ? one : two;
    for (size_t at = 0; from && at < from->count; at++) {
      struct entry *e = &from->entries[at];
      ino_t rival = named(other, e->name);
      if (turn && rival) continue;             /* done in the first turn */
      ino_t chosen = e->ino;
      if (b && rival != e->ino) {
        if (rival) { if (coin()) chosen = rival; } else if (coin()) continue;
      }
      char below[PATH_MAX];
      snprintf(below, sizeof below, "%s/%s", to, e->name);
      restore(a, b, chosen, below);
    }
  }
}

static ino_t top_inode(void) {
  struct stat info;
  return lstat(top, &info) == 0 ? info.st_ino : 0;
}

static void picture(const char *to) {
  char path[PATH_MAX];
  struct inode *live = NULL;
  load(&live, top, 1);
  syscall(SYS_mkdirat, AT_FDCWD, to, 0700);
  snprintf(path, sizeof path, "%s/now", to);
  restore(&live, NULL, top_inode(), path);
  snprintf(path, sizeof path, "%s/lost", to);
  restore(&disk, NULL, top_inode(), path);
  snprintf(path, sizeof path, "%s/mix", to);
  coin_state = 88172645463325252ull + taken * 7919;
  restore(&disk, &live, top_inode(), path);
  snprintf(path, sizeof path, "%s/acked", to);
  char text[32];
  int length = snprintf(text, sizeof text, "%d", acked);
  int fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  syscall(SYS_write, fd, text, length);
  syscall(SYS_close, fd);
  forget(&live);
}

static int watched_path(const char *path) {
  size_t length = path ? strlen(path) : 0;
  if (!top_length || length <= top_length || strncmp(path, top, top_length) || path[top_length] != '/') return 0;
  if (length > 8 && !strcmp(path + length - 8, "/ballast")) return 0; /* of no use but its size */
  return !(length > 4 && !strcmp(path + length - 4, "-shm"));
}

static int path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return 1;
}

static int watched_fd(int fd) {
  char path[PATH_MAX];
  if (!top_length || fd < 3 || !path_of(fd, path)) return 0;
  return watched_path(path) || !strcmp(path, top);
}

/* Before a call that changes something: 0 to go on, else the errno to fail with. */
static int step(void) {
  if (mode == OFF) return 0;
  calls++;
  switch (mode) {
    case KILL: if (calls == target) syscall(SYS_kill, getpid(), SIGKILL); return 0;
    case FAIL_ONCE: if (calls == target) { fired = 1; return failure; } return 0;
    case FAIL_FROM: if (calls >= target) { fired = 1; return failure; } return 0;
    case PICTURES: {
      if (calls % target != 0) return 0;
      char to[PATH_MAX + 32];
      snprintf(to, sizeof to, "%s/%06lld", pictures, (long long)taken++);
      picture(to);
    }
  }
  return 0;
}

#define ENTER(watched) \
  int watching = top_length && (watched); \
  if (watching) { pthread_mutex_lock(&lock); int error = step(); \
    if (error) { pthread_mutex_unlock(&lock); errno = error; return -1; } }
#define LEAVE(result) \
  do { __typeof__(result) r = (result); int kept = errno; if (watching) pthread_mutex_unlock(&lock); errno = kept; return r; } while (0)

ssize_t write(int fd, const void *buffer, size_t size) {
  ENTER(watched_fd(fd))
  if (watching && (mode == PICTURES || mode == KILL) && size > 1) {
    ssize_t half = REAL(write)(fd, buffer, size / 2); /* a crash in the middle of it */
    if (half < 0) LEAVE(half);
    step();
    ssize_t rest = REAL(write)(fd, (const char *)buffer + half, size - half);
    LEAVE(rest < 0 ? half : half + rest);
  }
  LEAVE(REAL(write)(fd, buffer, size));
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t at) {
  ENTER(watched_fd(fd))
  if (watching && (mode == PICTURES || mode == KILL) && size > 1) {
    ssize_t half = REAL(pwrite64)(fd, buffer, size / 2, at);
    if (half < 0) LEAVE(half);
    step();
    ssize_t rest = REAL(pwrite64)(fd, (const char *)buffer + half, size - half, at + half);
    LEAVE(rest < 0 ? half : half + rest);
  }
  LEAVE(REAL(pwrite64)(fd, buffer, size, at));
}
ssize_t pwrite(int fd, const void *buffer, size_t size, off_t at) { return pwrite64(fd, buffer, size, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
  ENTER(watched_fd(fd))
  LEAVE(REAL(writev)(fd, parts, count));
}

/* The disk is the one in memory; the real one may take its time. */
static int synced(int fd) {
  ENTER(watched_fd(fd))
  char path[PATH_MAX];
  if (watching && path_of(fd, path)) load(&disk, path, 0);
  LEAVE(0);
}
int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

int ftruncate64(int fd, off64_t size) { ENTER(watched_fd(fd)) LEAVE(REAL(ftruncate64)(fd, size)); }
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int rename(const char *from, const char *to) {
  ENTER(watched_path(from) || watched_path(to))
  LEAVE(REAL(rename)(from, to));
}
int unlink(const char *path) { ENTER(watched_path(path)) LEAVE(REAL(unlink)(path)); }
int chmod(const char *path, mode_t bits) { ENTER(watched_path(path)) LEAVE(REAL(chmod)(path, bits)); }

/* The inode may have been another file's before. */
static void made(const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0) return;
  /* Then that one is gone for certain: an inode is given out again only when its last name is. */
  for (struct inode *d = disk; d; d = d->next) {
    size_t kept = 0;
    for (size_t at = 0; at < d->count; at++) {
      if (d->entries[at].ino != info.st_ino) d->entries[kept++] = d->entries[at];
    }
    d->count = kept;
  }
  struct inode *i = inode_of(&disk, info.st_ino, 1);
  free(i->data); i->data = NULL; i->size = 0;
  free(i->entries); i->entries = NULL; i->count = 0;
  i->is_directory = S_ISDIR(info.st_mode);
  i->mode = info.st_mode & 07777;
}

int mkdir(const char *path, mode_t bits) {
  ENTER(watched_path(path))
  int result = REAL(mkdir)(path, bits);
  if (watching && result == 0) made(path);
  LEAVE(result);
}

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, mode_t bits) {
  int absent = (flags & O_CREAT) && watched_path(path) && access(path, F_OK) != 0;
  ENTER(absent)
  int fd = real(path, flags, bits);
  if (watching && fd >= 0) made(path);
  LEAVE(fd);
}
int open(const char *path, int flags, ...) {
  va_list list; va_start(list, flags); mode_t bits = flags & O_CREAT ? va_arg(list, mode_t) : 0; va_end(list);
  return opened(REAL(open), path, flags, bits);
}
int open64(const char *path, int flags, ...) {
  va_list list; va_start(list, flags); mode_t bits = flags & O_CREAT ? va_arg(list, mode_t) : 0; va_end(list);
  return opened(REAL(open64), path, flags, bits);
}

/* Steering */

/* Watches `path`, which must be whole and counts as synced; an empty path watches nothing. */
void fault_watch(const char *path) {
  pthread_mutex_lock(&lock);
  mode = OFF;
  top_length = 0;
  forget(&disk);
  acked = 0;
  snprintf(top, sizeof top, "%s", path);
  if (*path) load(&disk, top, 1);
  top_length = strlen(top);
  pthread_mutex_unlock(&lock);
}

void fault_arm(int how, int error, int64_t at) {
  pthread_mutex_lock(&lock);
  mode = how; failure = error; target = at; calls = 0; fired = 0;
  pthread_mutex_unlock(&lock);
}

void fault_pictures(const char *to, int64_t step) {
  pthread_mutex_lock(&lock);
  snprintf(pictures, sizeof pictures, "%s", to);
  taken = 0; calls = 0; target = step;
  mode = PICTURES;
  pthread_mutex_unlock(&lock);
}

void fault_picture(const char *to) {
  pthread_mutex_lock(&lock);
  int before = mode;
  mode = OFF;
  picture(to);
  mode = before;
  pthread_mutex_unlock(&lock);
}

void fault_acked(int count) { pthread_mutex_lock(&lock); acked = count; pthread_mutex_unlock(&lock); }
int64_t fault_calls(void) { return calls; }
int fault_fired(void) { return fired; }
