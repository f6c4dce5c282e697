/* text.c: strings and paths. */
#include <stdarg.h>

#include "launcher.h"

size_t strlen(const char *s);
void *memcpy(void *restrict to, const void *restrict from, size_t size);

int
equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* By bytes: below, equal to or above zero. */
int
order(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

char *
concat(const char *head, ...)
{
	va_list parts;
	const char *part;
	char *text, *at;
	size_t size = 1;

	va_start(parts, head);
	for (part = head; part; part = va_arg(parts, const char *))
		size += strlen(part);
	va_end(parts);

	text = at = alloc(size);
	va_start(parts, head);
	for (part = head; part; part = va_arg(parts, const char *)) {
		size_t length = strlen(part);
		memcpy(at, part, length);
		at += length;
	}
	va_end(parts);
	*at = 0;
	return text;
}

/* All of them one after the other, in time and memory of their sum. */
char *
concat_all(struct list list)
{
	char *text, *at;
	size_t size = 1;

	for (size_t i = 0; i < list.count; i++)
		size += strlen(list.at[i]);
	text = at = alloc(size);
	for (size_t i = 0; i < list.count; i++) {
		size_t length = strlen(list.at[i]);

		memcpy(at, list.at[i], length);
		at += length;
	}
	return text;
}

static int
is_step(const char *at, const char *step)
{
	while (*step && *at == *step)
		at++, step++;
	return !*step && (!*at || *at == '/');
}

/* Drops empty and "." steps and resolves "..", by name only, in place. */
static char *
clean(char *path)
{
	int rooted = *path == '/';
	char *from = path + rooted, *to = from, *floor = from;

	while (*from) {
		if (*from == '/' || is_step(from, ".")) {
			from++;
			continue;
		}
		if (is_step(from, "..")) {
			if (to > floor) {
				while (--to > floor && *to != '/')
					;
				from += 2;
				continue;
			}
			if (rooted) {
				from += 2;
				continue;
			}
		}
		if (to > path + rooted)
			*to++ = '/';
		if (is_step(from, ".."))
			floor = to + 2;
		while (*from && *from != '/')
			*to++ = *from++;
	}
	if (to == path)
		*to++ = '.';
	*to = 0;
	return path;
}

char *
join(const char *dir, const char *name)
{
	return clean(concat(dir, *dir && *name ? "/" : "", name, NULL));
}

const char *
base(const char *path)
{
	const char *last = path;

	for (; *path; path++)
		if (*path == '/')
			last = path + 1;
	return last;
}

char *
number(unsigned long n)
{
	char *at = (char *)alloc(24) + 23;

	do
		*--at = (char)('0' + n % 10);
	while (n /= 10);
	return at;
}

void
push(struct list *list, const char *text)
{
	list->at = grow(list->at, list->count, &list->room, sizeof(*list->at));
	list->at[list->count++] = (char *)text;
	list->at[list->count] = NULL;
}

void
extend(struct list *list, struct list more)
{
	for (size_t i = 0; i < more.count; i++)
		push(list, more.at[i]);
}
