/* file.c: read files and directories. */
#include <asm/stat.h>

#include "launcher.h"
#include "sys.h"

struct linux_dirent {
	uint64_t ino;
	int64_t next;
	unsigned short length;
	unsigned char type;
	char name[];
};
enum { TYPE_UNKNOWN = 0, TYPE_DIR = 4 };

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
	size_t room = 0, used = 0;
	char *at = NULL;
	long got;

	do {
		at = grow(at, used, &room, 1);
		got = SYS3(read, fd, at + used, room - used - 1);
		if (got == -EINTR)
			continue;
		if (got < 0)
			return got;
		used += (size_t)got;
		if (used > limit)
			return -EFBIG;
	} while (got);
	at[used] = 0;
	*text = at;
	*length = used;
	return 0;
}

long
file_load(const char *path, char **text, size_t *length, size_t limit)
{
	long error, fd = SYS3(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fd;
	error = file_read((int)fd, text, length, limit);
	SYS1(close, fd);
	return error;
}

static int
is_after(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a > (unsigned char)*b;
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

			for (; j >= gap && is_after(at[j - gap].name, moved.name); j -= gap)
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
directory_read(const char *path, struct directory *into)
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
			into->at[into->count++].dir = is_directory(path, entry);
		}
	}
	SYS1(close, fd);
	sort(into->at, into->count);
	return got;
}
