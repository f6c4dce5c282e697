/*
 * test_probe.c: what a launched process sees, for the tests, without libc so that it runs in an
 * empty root. Items end with a NUL: \1, p<pid>, d<cwd>, f<open descriptors>, a<each argument>, e<each
 * variable>. When its first argument is "exit" it ends with the status in the second; "kill" ends it
 * with that signal.
 */
#include "launcher.h"
#include "sys.h"

size_t strlen(const char *s);
int launch_main(char **argv, char **environ);

void
fail(int code, const char *first, ...)
{
	SYS3(write, 2, first, strlen(first));
	for (;;)
		SYS1(exit_group, code);
}

const char *
reason(long error)
{
	return number((unsigned long)-error);
}

static void
item(const char *kind, const char *text)
{
	const char *whole = concat(kind, text, NULL);

	SYS3(write, 1, whole, strlen(whole) + 1);
}

static int
value(const char *digits)
{
	int n = 0;

	while (*digits >= '0' && *digits <= '9')
		n = n * 10 + *digits++ - '0';
	return n;
}

static const char *
descriptors(void)
{
	struct list open = { 0 };

	for (long fd = 0; fd < 64; fd++) {
		if (SYS3(fcntl, fd, F_GETFD, 0) < 0)
			continue;
		push(&open, open.count ? "," : "");
		push(&open, number((unsigned long)fd));
	}
	return concat_all(open);
}

int
launch_main(char **argv, char **environ)
{
	static char here[4096];

	if (argv[0] && argv[1] && argv[2] && equal(argv[1], "exit"))
		return value(argv[2]);
	if (argv[0] && argv[1] && argv[2] && equal(argv[1], "kill"))
		SYS2(kill, sys(__NR_getpid, 0, 0, 0, 0, 0, 0), value(argv[2]));
	SYS2(getcwd, here, sizeof(here));
	item("\1", "");
	item("p", number((unsigned long)sys(__NR_getpid, 0, 0, 0, 0, 0, 0)));
	item("d", here);
	item("f", descriptors());
	for (; *argv; argv++)
		item("a", *argv);
	for (; *environ; environ++)
		item("e", *environ);
	return 0;
}
