/* exec.c: become the process, directly or through bash (LA-10 to LA-12, 15.5). */
#include "launcher.h"
#include "sys.h"

enum { MAY_EXECUTE = 1, ANY_EXECUTE = 0111 };

static long
executable(const char *path)
{
	long mode = file_mode(path), error;

	if (mode < 0)
		return mode;
	if (S_KIND(mode) == S_DIR)
		return -EISDIR;
	error = SYS3(faccessat, AT_FDCWD, path, MAY_EXECUTE);
	if (error != -ENOSYS && error != -EPERM)
		return error;
	return mode & ANY_EXECUTE ? 0 : -EACCES;  /* some seccomp filters refuse to answer */
}

static void no_path(const char *command, const char *why) __attribute__((noreturn));

static void
no_path(const char *command, const char *why)
{
	fail(LAUNCH, "launch: path lookup: exec: \"", command, "\": ", why, NULL);
}

/* The first executable of that name on PATH; as in Go, one found from "." is refused, not run. */
static const char *
search(const char *command, const char *path)
{
	while (*path) {
		char *dir = concat(path, NULL), *end = dir;
		const char *file;

		while (*end && *end != ':')
			end++;
		path += end - dir + (*end == ':');
		*end = 0;
		file = join(*dir ? dir : ".", command);
		if (executable(file) < 0)
			continue;
		if (*file != '/')
			no_path(command, "cannot run executable found relative to current directory");
		return file;
	}
	no_path(command, "executable file not found in $PATH");
}

static int
has_slash(const char *text)
{
	for (; *text; text++)
		if (*text == '/')
			return 1;
	return 0;
}

static const char *
look_up(const char *command, const char *path)
{
	long error;

	if (equal(command, "") || equal(command, ".") || equal(command, ".."))
		no_path(command, "executable file not found in $PATH");
	if (!has_slash(command))
		return search(command, path);
	error = executable(command);
	if (error < 0)
		no_path(command, reason(error));
	return command;
}

static void
exec_direct(struct launch *launch, struct process *process)
{
	const char *file, *dir = *process->dir ? process->dir : launch->app;
	char **environ = env_list(&launch->env);
	struct list argv = { 0 };
	long error;

	if (process->command.count == 0)
		fail(LAUNCH, "launch: no command provided for process type \"", process->type, "\"", NULL);
	extend(&argv, process->command);
	extend(&argv, process->args);
	file = look_up(argv.at[0], env_get(&launch->env, "PATH"));
	error = SYS1(chdir, dir);
	if (error < 0)
		fail(LAUNCH, "launch: change directory: chdir ", dir, ": ", reason(error), NULL);
	error = SYS3(execve, file, argv.at, environ);
	/* Go starts a relative command from the working directory only, after it looked it up from the
	   application's. Where that fails, the file that was found is what was meant. */
	if (error == -ENOENT && *file != '/')
		error = SYS3(execve, join(launch->app, file), argv.at, environ);
	fail(LAUNCH, "launch: direct exec: ", file, ": ", reason(error), NULL);
}

static void
add_profile(struct launch *launch, const char *file, void *more)
{
	(void)launch;
	push(more, file);
}

struct profiles { struct list files; const char *type; };

static void
add_profiles(struct launch *launch, const char *layer, void *more)
{
	struct profiles *profiles = more;

	each_file(launch, layer, "profile.d", profiles->type, add_profile, &profiles->files);
}

static struct list
find_profiles(struct launch *launch, const char *type)
{
	struct profiles profiles = { { 0 }, type };
	const char *own = join(launch->app, ".profile");
	long mode = file_mode(own);

	each_layer(launch, add_profiles, &profiles);
	if (mode < 0 && mode != -ENOENT)
		fail(LAUNCH, "launch: find profiles: stat ", own, ": ", reason(mode), NULL);
	if (mode >= 0 && S_KIND(mode) != S_DIR)
		push(&profiles.files, ".profile");
	return profiles.files;
}

/* Words of the command, each expanded once by an inner bash: "$(eval echo \"${1}\")" and so on. */
static void
push_tokens(struct list *parts, size_t args)
{
	push(parts, "\"$(eval echo \\\"$0\\\")\"");
	for (size_t i = 1; i <= args; i++) {
		push(parts, " \"$(eval echo \\\"${");
		push(parts, number(i));
		push(parts, "}\\\")\"");
	}
}

static char *
script(struct launch *launch, struct process *process)
{
	struct list profiles = find_profiles(launch, process->type), parts = { 0 };

	for (size_t i = 0; i < profiles.count; i++)
		push(&parts, concat("source \"", profiles.at[i], "\"\n", NULL));
	push(&parts, concat("cd \"", *process->dir ? process->dir : launch->app, "\"\n", NULL));
	if (process->args.count == 0) {
		push(&parts, "exec bash -c \"$@\"");
	} else {
		push(&parts, "exec bash -c '");
		push_tokens(&parts, process->args.count);
		push(&parts, "' \"${@:1}\"");
	}
	return concat_all(parts);
}

/* Several entries are one line for the shell (LA-19). */
static char *
command_line(struct list command)
{
	struct list parts = { 0 };

	for (size_t i = 0; i < command.count; i++) {
		if (i)
			push(&parts, " ");
		push(&parts, command.at[i]);
	}
	return concat_all(parts);
}

static void
check_contributor(const struct launch *launch, const struct process *process)
{
	const struct metadata *metadata = &launch->metadata;

	if (process->args.count == 0 || !*process->buildpack)
		return;
	for (size_t i = 0; i < metadata->buildpacks; i++)
		if (equal(metadata->buildpack[i].id, process->buildpack))
			return;
	fail(LAUNCH, "launch: process type '", process->type, "' provided by unknown buildpack '",
	     process->buildpack, "'", NULL);
}

static void
exec_shell(struct launch *launch, struct process *process)
{
	char **environ = env_list(&launch->env);
	struct list argv = { 0 };
	long error;

	check_contributor(launch, process);
	push(&argv, "bash");
	push(&argv, "-c");
	push(&argv, script(launch, process));
	push(&argv, launch->self);
	push(&argv, command_line(process->command));
	extend(&argv, process->args);
	error = SYS3(execve, "/bin/bash", argv.at, environ);
	fail(LAUNCH, "launch: bash exec: /bin/bash: ", reason(error), error == -ENOENT ?
	     " (this image has no bash, so it runs only direct processes: put -- before the command)" :
	     "", NULL);
}

void
exec_process(struct launch *launch, struct process *process)
{
	if (process->direct)
		exec_direct(launch, process);
	exec_shell(launch, process);
	__builtin_unreachable();
}
