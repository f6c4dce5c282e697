/* memory.c: memory that only grows; the launcher lives for a millisecond. */
#include <linux/mman.h>

#include "launcher.h"
#include "sys.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size);

enum { CHUNK = 64 << 10 };

static char first[CHUNK];  /* most launches need no more than this */
static char *top = first;
static size_t left = CHUNK, mapped;

static void
map(size_t size)
{
	long at;

	size = (size + CHUNK - 1) / CHUNK * CHUNK;
	if (size > MEMORY_LIMIT - mapped)
		fail(LAUNCH, "launch: more than 64 MiB of memory needed", NULL);
	at = sys(__NR_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at < 0 && at > -4096)
		fail(LAUNCH, "launch: allocate memory: ", reason(at), NULL);
	mapped += size;
	top = (char *)at;
	left = size;
}

void *
alloc(size_t size)
{
	char *at;

	if (size > MEMORY_LIMIT)
		fail(LAUNCH, "launch: more than 64 MiB of memory needed", NULL);
	size = (size + 15) & ~(size_t)15;
	if (size > left)
		map(size);
	at = top;
	top += size;
	left -= size;
	return at;
}

/*
 * An array of items of `size` bytes with room for at least two more than `used`: the next one and
 * an end mark. A room of 0 means that `old` is borrowed and is copied.
 */
void *
grow(void *old, size_t used, size_t *room, size_t size)
{
	void *new;

	if (used + 2 <= *room)
		return old;
	while (*room < used + 2)
		*room = *room ? *room * 2 : 16;
	if (*room > MEMORY_LIMIT / size)
		fail(LAUNCH, "launch: more than 64 MiB of memory needed", NULL);
	new = alloc(*room * size);
	if (used)
		memcpy(new, old, used * size);
	return new;
}
