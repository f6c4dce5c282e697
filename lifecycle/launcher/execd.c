/* execd.c: programs in exec.d that compute variables at the start (LA-13 to LA-16). */
#include <asm/signal.h>

#include "launcher.h"
#include "sys.h"
#include "toml.h"

size_t strlen(const char *s);

enum { OUTPUT_LIMIT = 4 << 20, OUTPUT_FD = 3, FIRST_FREE = 4 };

static void refuse(const char *file, const char *first, const char *second)
	__attribute__((noreturn));

static void
refuse(const char *file, const char *first, const char *second)
{
	fail(LAUNCH, "launch: exec.d: failed to execute exec.d file at path '", file, "': ",
	     first, second, NULL);
}

static long
move_up(int *fd)
{
	long up;

	if (*fd >= FIRST_FREE)
		return 0;
	up = SYS3(fcntl, *fd, F_DUPFD_CLOEXEC, FIRST_FREE);
	SYS1(close, *fd);
	*fd = (int)up;
	return up;
}

/* Both ends above OUTPUT_FD, whatever descriptors the container started us with. */
static void
make_pipe(int ends[2], const char *file)
{
	long error = SYS2(pipe2, ends, O_CLOEXEC);

	if (error >= 0)
		error = move_up(&ends[0]);
	if (error >= 0)
		error = move_up(&ends[1]);
	if (error < 0)
		refuse(file, "make a pipe: ", reason(error));
}

/* Standard input at its end: /dev/null, or in an image without it a pipe that nobody writes to. */
static void
close_input(void)
{
	int ends[2];
	long fd = SYS3(openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0 && SYS2(pipe2, ends, O_CLOEXEC) >= 0)
		fd = ends[0];
	if (fd > 0)
		SYS3(dup3, fd, 0, 0);
	else if (fd == 0)
		SYS3(fcntl, 0, F_SETFD, 0);
}

/* In the child: never returns; says through `report` why it could not start. */
static void
become(const char *file, const struct environment *env, int output, int report)
{
	char *argv[] = { (char *)file, NULL }, **environ = env_list(env);
	long error = SYS3(dup3, output, OUTPUT_FD, 0);

	if (error >= 0) {
		close_input();
		error = SYS3(execve, file, argv, environ);
	}
	SYS3(write, report, &error, sizeof(error));
	for (;;)
		SYS1(exit_group, 127);
}

static void
await(long pid, const char *file)
{
	int status = 0;
	long got;

	do
		got = SYS4(wait4, pid, &status, 0, NULL);
	while (got == -EINTR);
	if (got < 0)
		refuse(file, "wait: ", reason(got));
	if (status & 0x7f)
		refuse(file, "signal ", number((unsigned long)(status & 0x7f)));
	if (status)
		refuse(file, "exit status ", number((unsigned long)(status >> 8 & 0xff)));
}

/* Runs the file and returns what it and its children wrote to descriptor 3. */
static char *
output_of(const char *file, const struct environment *env, size_t *length)
{
	int output[2], report[2];
	long pid, error, failure = 0;
	char *text;

	make_pipe(output, file);
	make_pipe(report, file);
	pid = SYS2(clone, SIGCHLD, 0);
	if (pid < 0)
		refuse(file, "fork: ", reason(pid));
	if (pid == 0)
		become(file, env, output[1], report[1]);
	SYS1(close, output[1]);
	SYS1(close, report[1]);
	if (SYS3(read, report[0], &failure, sizeof(failure)) > 0)
		refuse(file, reason(failure), "");
	SYS1(close, report[0]);
	error = file_read(output[0], &text, length, OUTPUT_LIMIT);
	SYS1(close, output[0]);
	if (error == -EFBIG)
		refuse(file, "more than 4 MiB on descriptor 3", "");
	await(pid, file);
	if (error < 0)
		refuse(file, "read its output: ", reason(error));
	return text;
}

static void refuse_output(const char *file, unsigned line, const char *what, const char *key)
	__attribute__((noreturn));

static void
refuse_output(const char *file, unsigned line, const char *what, const char *key)
{
	fail(LAUNCH, "launch: exec.d: failed to decode output from exec.d file at path '", file,
	     "':", number(line), ": ", what, key, NULL);
}

static void
run(struct launch *launch, const char *file, void *more)
{
	const struct toml *root, *at;
	struct toml_error error;
	size_t length;
	char *text = output_of(file, &launch->env, &length);

	(void)more;
	root = toml_parse(text, length, &error);
	if (!root)
		refuse_output(file, error.line, error.what, "");
	for (at = root->first; at; at = at->next) {
		if (at->kind != TOML_STRING)
			refuse_output(file, at->line, "want a string for ", at->key);
		if (strlen(at->text) != at->length || strlen(at->key) != at->key_length)
			refuse_output(file, at->line, "a NUL byte in ", at->key);
	}
	for (at = root->first; at; at = at->next)
		env_set(&launch->env, at->key, at->text);
}

static void
run_layer(struct launch *launch, const char *layer, void *more)
{
	each_file(launch, layer, "exec.d", more, run, NULL);
}

void
execd_run(struct launch *launch, const char *type)
{
	each_layer(launch, run_layer, (void *)type);
}
