/* file.c: read files and directories. */
#include <asm/stat.h>

#include "launcher.h"
#include "sys.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size);

struct linux_dirent {
	uint64_t ino;
	int64_t next;
	unsigned short length;
	unsigned char type;
	char name[];
};
enum { TYPE_UNKNOWN = 0, TYPE_DIR = 4, TYPE_FILE = 8 };

static long
mode_of(const char *path, int flags)
{
	struct stat info;
	long error = SYS4(newfstatat, AT_FDCWD, path, &info, flags);

	return error < 0 ? error : (long)info.st_mode;
}

long
file_mode(const char *path)
{
	return mode_of(path, 0);
}

/* *text ends with a NUL that *length does not count. -EFBIG when there are more than `limit` bytes. */
long
file_read(int fd, char **text, size_t *length, size_t limit)
{
	static char small[4 << 10];  /* most files fit, and are copied to no more room than they need */
	size_t room = 0, used = 0;
	char *at = NULL;
	long got;

	do {
		got = SYS3(read, fd, small, sizeof(small));
	} while (got == -EINTR);
	if (got < 0)
		return got;
	used = (size_t)got;
	if (used > limit)
		return -EFBIG;
	at = alloc(used + 2);
	memcpy(at, small, used);
	while (got) {
		at = grow(at, used, &room, 1);
		got = SYS3(read, fd, at + used, room - used - 1);
		if (got == -EINTR)
			continue;
		if (got < 0)
			return got;
		used += (size_t)got;
		if (used > limit)
			return -EFBIG;
	}
	at[used] = 0;
	*text = at;
	*length = used;
	return 0;
}

/* `path` is looked up from the open directory `dir`, or AT_FDCWD. */
long
file_load(int dir, const char *path, char **text, size_t *length, size_t limit)
{
	long error, fd = SYS3(openat, dir, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fd;
	error = file_read((int)fd, text, length, limit);
	SYS1(close, fd);
	return error;
}

/* A shell sort: short, in place, and quick enough for a directory of a hundred thousand files. */
static void
sort(struct entry *at, size_t count)
{
	size_t gap = 1;

	while (gap < count / 3)
		gap = gap * 3 + 1;
	for (; gap; gap /= 3) {
		for (size_t i = gap; i < count; i++) {
			struct entry moved = at[i];
			size_t j = i;

			for (; j >= gap && order(at[j - gap].name, moved.name) > 0; j -= gap)
				at[j] = at[j - gap];
			at[j] = moved;
		}
	}
}

static int
is_directory(const char *dir, const struct linux_dirent *entry)
{
	long mode;

	if (entry->type != TYPE_UNKNOWN)
		return entry->type == TYPE_DIR;
	mode = mode_of(concat(dir, "/", entry->name, NULL), AT_SYMLINK_NOFOLLOW);
	return mode >= 0 && S_KIND(mode) == S_DIR;
}

long
directory_open(const char *path, struct directory *into)
{
	static _Alignas(8) char buffer[16 << 10];
	long at, got, fd = SYS3(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	size_t room = 0;

	into->at = NULL;
	into->count = 0;
	if (fd < 0)
		return fd;
	while ((got = SYS3(getdents64, fd, buffer, sizeof(buffer))) > 0) {
		for (at = 0; at < got;) {
			struct linux_dirent *entry = (struct linux_dirent *)(buffer + at);

			at += entry->length;
			if (equal(entry->name, ".") || equal(entry->name, ".."))
				continue;
			into->at = grow(into->at, into->count, &room, sizeof(*into->at));
			into->at[into->count].name = concat(entry->name, NULL);
			into->at[into->count].plain = entry->type == TYPE_FILE;
			into->at[into->count++].dir = is_directory(path, entry);
		}
	}
	sort(into->at, into->count);
	if (got == 0)
		return fd;
	SYS1(close, fd);
	return got;
}

long
directory_read(const char *path, struct directory *into)
{
	long fd = directory_open(path, into);

	if (fd < 0)
		return fd;
	SYS1(close, fd);
	return 0;
}
