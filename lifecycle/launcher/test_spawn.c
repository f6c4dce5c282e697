/*
 * test_spawn.c: how long programs take from start to end, for the benchmark.
 *
 *   test_spawn TIMES NAME=PROGRAM...   argv[0] is NAME; prints "MEDIAN MINIMUM" in ns for each, in order
 *
 * They take turns, so that a busy moment of the machine hits all of them.
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static long long
run(char *name, const char *program)
{
	char *argv[] = { name, "exit", "0", NULL };
	long long start = now();
	pid_t pid;
	int status;

	if (posix_spawn(&pid, program, NULL, NULL, argv, environ) != 0 ||
	    waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "%s failed\n", program);
		exit(1);
	}
	return now() - start;
}

static int
compare(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	int times = argc > 2 ? atoi(argv[1]) : 0, programs = argc - 2;
	long long *took;

	if (times < 1)
		return 2;
	took = calloc((size_t)times * (size_t)programs, sizeof(*took));
	for (int p = 0; p < programs; p++)
		*strchr(argv[p + 2], '=') = 0;
	for (int t = 0; t < times; t++)
		for (int p = 0; p < programs; p++)
			took[p * times + t] = run(argv[p + 2], argv[p + 2] + strlen(argv[p + 2]) + 1);
	for (int p = 0; p < programs; p++) {
		qsort(took + p * times, (size_t)times, sizeof(*took), compare);
		printf("%lld %lld\n", took[p * times + times / 2], took[p * times]);
	}
	return 0;
}
