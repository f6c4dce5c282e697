/* What a layer is made of, read in the order of its tar: a directory before what is in it, children
 * in the order of their bytes, no link followed. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive.h"
#include "look.h"

#define MOST_DEPTH 128

void archive_bytes(struct blocks *b, const void *bytes, size_t length) {
  if (b->seen) sha256_add(&b->seen->frame, bytes, length);
  else blocks_put(b, bytes, length);
}

const char *archive_entry(struct blocks *b, const struct tar_made *entry) {
  unsigned char header[MOST_HEADER];
  const size_t length = tar_make(entry, header);
  if (length == 0) return "header";
  archive_bytes(b, header, length);
  return NULL;
}

static const unsigned char zeros[TAR_BLOCK];

/* The kernel's words in the place of a body. */
static const char *put_look(struct blocks *b, int fd, uint64_t size) {
  unsigned char look[LOOK_SIZE];
  mode_t mode;
  if (!look_at(fd, look, &mode)) return strerror(errno);
  sha256_add(&b->seen->looks, look, sizeof look);
  archive_bytes(b, zeros, (size_t)(-size & (TAR_BLOCK - 1)));
  return NULL;
}

/* A body of `left` bytes, no less and no more. */
static const char *put_body(struct blocks *b, int fd, uint64_t left) {
  const size_t padding = (size_t)(-left & (TAR_BLOCK - 1));
  while (left > 0) {
    size_t room;
    unsigned char *to = blocks_room(b, &room);
    if (!to) return "write";
    if (room > left) room = (size_t)left;
    const ssize_t got = read(fd, to, room);
    if (got < 0 && errno != EINTR) return strerror(errno);
    if (got == 0) return "changed";
    if (got > 0) {
      blocks_filled(b, (size_t)got);
      left -= (uint64_t)got;
    }
  }
  unsigned char more;
  ssize_t got;
  while ((got = read(fd, &more, 1)) < 0 && errno == EINTR) continue;
  if (got != 0) return got < 0 ? strerror(errno) : "changed";
  blocks_put(b, zeros, padding);
  return NULL;
}

const char *archive_file(struct blocks *b, struct tar_made *entry, int fd) {
  entry->kind = '0';
  entry->link = "";
  const char *why = archive_entry(b, entry);
  if (!why && b->seen) why = put_look(b, fd, entry->size);
  else if (!why && entry->size > 0) why = put_body(b, fd, entry->size);
  close(fd);
  return why;
}

/* A directory that is open, and what of it is still to come. */
struct step {
  int fd;
  char *memory; /* names one behind the other, each behind a byte of its type */
  char **names; /* sorted, each at its type */
  size_t count, at;
  size_t length; /* of its path inside */
};

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a + 1, *(char *const *)b + 1); /* as unsigned bytes */
}

static const char *list(struct step *step) {
  int again = openat(step->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = again < 0 ? NULL : fdopendir(again);
  if (!directory) {
    const char *why = strerror(errno);
    if (again >= 0) close(again);
    return why;
  }
  size_t used = 0, room = 0;
  const struct dirent *found;
  for (errno = 0; (found = readdir(directory)); errno = 0) {
    const char *name = found->d_name;
    if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
    const size_t size = strlen(name) + 2;
    if (used + size > room) {
      room = 2 * room + 4096;
      char *more = realloc(step->memory, room);
      if (!more) break;
      step->memory = more;
    }
    step->memory[used] = (char)found->d_type;
    memcpy(step->memory + used + 1, name, size - 1);
    used += size;
    step->count++;
  }
  const int error = errno;
  closedir(directory);
  step->names = malloc((step->count + 1) * sizeof *step->names);
  if (error || !step->names) return strerror(error ? error : ENOMEM);
  size_t at = 0;
  for (size_t i = 0; i < step->count; i++) {
    step->names[i] = step->memory + at;
    at += strlen(step->memory + at + 1) + 2;
  }
  qsort(step->names, step->count, sizeof *step->names, by_name);
  return NULL;
}

struct walk {
  struct blocks *b;
  uint64_t uid, gid;
  char path[PATH_MAX]; /* inside, of what comes next */
  struct step steps[MOST_DEPTH];
  size_t depth;
};

/* Takes over `fd`, the directory at `w->path`. */
static const char *enter(struct walk *w, int fd) {
  struct stat about;
  if (w->depth == MOST_DEPTH || fstat(fd, &about) != 0) {
    close(fd);
    return "depth";
  }
  struct step *step = &w->steps[w->depth++];
  *step = (struct step){.fd = fd, .length = strlen(w->path)};
  struct tar_made entry = {.kind = '5', .mode = about.st_mode & 07777, .uid = w->uid,
                           .gid = w->gid, .name = w->path, .link = ""};
  const char *why = archive_entry(w->b, &entry);
  return why ? why : list(step);
}

static void leave(struct walk *w) {
  struct step *step = &w->steps[--w->depth];
  close(step->fd);
  free(step->memory);
  free(step->names);
}

static const char *put_link(struct walk *w, int parent, const char *name) {
  char target[PATH_MAX];
  struct stat about;
  const ssize_t length = readlinkat(parent, name, target, sizeof target);
  if (length < 0 || fstatat(parent, name, &about, AT_SYMLINK_NOFOLLOW) != 0) return strerror(errno);
  if (length == sizeof target || !S_ISLNK(about.st_mode)) return "changed";
  target[length] = 0;
  struct tar_made entry = {.kind = '2', .mode = about.st_mode & 07777, .uid = w->uid,
                           .gid = w->gid, .name = w->path, .link = target};
  return archive_entry(w->b, &entry);
}

static const char *put_child(struct walk *w, int parent, const char *name, unsigned char type) {
  struct stat about;
  if (type == DT_UNKNOWN) {
    if (fstatat(parent, name, &about, AT_SYMLINK_NOFOLLOW) != 0) return strerror(errno);
    type = IFTODT(about.st_mode);
  }
  if (type == DT_LNK) return put_link(w, parent, name);
  if (type != DT_REG && type != DT_DIR) return "kind";
  const int only = type == DT_DIR ? O_DIRECTORY : O_NONBLOCK;
  const int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | only);
  if (fd < 0) return strerror(errno);
  if (type == DT_DIR) return enter(w, fd);
  if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
    close(fd);
    return "changed";
  }
  struct tar_made entry = {.mode = about.st_mode & 07777, .uid = w->uid, .gid = w->gid,
                           .size = (uint64_t)about.st_size, .name = w->path};
  return archive_file(w->b, &entry, fd);
}

static const char *walk_all(struct walk *w) {
  while (w->depth > 0) {
    struct step *step = &w->steps[w->depth - 1];
    if (step->at == step->count) {
      leave(w);
      continue;
    }
    const char *name = step->names[step->at++];
    const size_t length = strlen(name + 1);
    if (step->length + length + 2 > sizeof w->path) return "name";
    w->path[step->length] = '/';
    memcpy(w->path + step->length + 1, name + 1, length + 1);
    const char *why = put_child(w, step->fd, name + 1, (unsigned char)*name);
    if (why) return why;
  }
  return NULL;
}

const char *archive_tree(struct blocks *b, const char *outside, const char *inside, uint64_t uid,
                         uint64_t gid) {
  if (strlen(inside) >= PATH_MAX) return "name";
  struct walk *w = calloc(1, sizeof *w);
  if (!w) return strerror(ENOMEM);
  w->b = b;
  w->uid = uid;
  w->gid = gid;
  strcpy(w->path, inside);
  const int fd = open(outside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const char *why = fd < 0 ? strerror(errno) : enter(w, fd);
  if (!why) why = walk_all(w);
  while (w->depth > 0) leave(w);
  free(w);
  return why;
}
