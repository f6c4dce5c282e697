/* message.c: what the launcher says, on standard error, in the words of the Go lifecycle. */
#include <stdarg.h>

#include "launcher.h"
#include "sys.h"

static char line[4096];  /* its own, so that it works when memory has run out */
static size_t used;

static void
flush(void)
{
	SYS3(write, 2, line, used);
	used = 0;
}

/* Control bytes become '?': the text may be a file name somebody chose to upset a terminal. */
static void
say(const char *text)
{
	for (; *text; text++) {
		if (used == sizeof(line) - 1)
			flush();
		line[used++] = (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text;
	}
}

static void
say_all(const char *head, const char *first, va_list parts)
{
	say(head);
	for (; first; first = va_arg(parts, const char *))
		say(first);
	line[used++] = '\n';
	flush();
}

void
warn(const char *first, ...)
{
	va_list parts;

	va_start(parts, first);
	say_all("Warning: ", first, parts);
	va_end(parts);
}

void
fail(int code, const char *first, ...)
{
	va_list parts;

	va_start(parts, first);
	say_all("ERROR: failed to ", first, parts);
	va_end(parts);
	for (;;)
		SYS1(exit_group, code);
}

const char *
reason(long error)
{
	switch (-error) {
	case EPERM: return "operation not permitted";
	case ENOENT: return "no such file or directory";
	case EIO: return "input/output error";
	case E2BIG: return "argument list too long";
	case ENOEXEC: return "exec format error";
	case EAGAIN: return "resource temporarily unavailable";
	case ENOMEM: return "cannot allocate memory";
	case EACCES: return "permission denied";
	case ENOTDIR: return "not a directory";
	case EISDIR: return "is a directory";
	case EINVAL: return "invalid argument";
	case ENFILE: case EMFILE: return "too many open files";
	case ETXTBSY: return "text file busy";
	case EFBIG: return "file too large";
	case ENAMETOOLONG: return "file name too long";
	case ELOOP: return "too many levels of symbolic links";
	}
	return concat("errno ", number((unsigned long)-error), NULL);
}
