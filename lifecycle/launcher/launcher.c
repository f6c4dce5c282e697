/* launcher.c: the program an image starts with. Every argument belongs to the user. */
#include <asm/signal.h>

#include "launcher.h"
#include "sys.h"

int launch_main(char **argv, char **environ);

/*
 * Signals that whoever started us ignores would stay ignored in the process: a shell pipe that never
 * ends for SIGPIPE, a wait that fails for SIGCHLD. The Go launcher leaves them at their default, but
 * for those that nohup and job control ignore on purpose.
 */
static void
reset_signals(void)
{
	static const uint64_t left = 1ul << SIGHUP | 1ul << SIGINT | 1ul << SIGKILL | 1ul << SIGSTOP |
	                             1ul << SIGTSTP | 1ul << SIGTTIN | 1ul << SIGTTOU;
	static const long by_default[8];  /* a struct sigaction of the kernel: SIG_DFL and no flags */

	for (int signal = 1; signal < 64; signal++)
		if (!(left >> signal & 1))
			SYS4(rt_sigaction, signal, by_default, NULL, sizeof(uint64_t));
}

static void
end(int signal)
{
	for (;;)
		SYS1(exit_group, 128 + signal);
}

/*
 * The kernel keeps from pid 1 what it has no handler for, so without these a container could not be
 * stopped while exec.d runs. The end of pid 1 ends all others; execve drops the handlers.
 */
static void
let_be_stopped(void)
{
	static const struct { void (*handler)(int); unsigned long flags; void *restorer; uint64_t mask; }
		action = { end, SA_RESTORER, NULL, 0 };  /* it never returns, so it restores nothing */

	if (sys(__NR_getpid, 0, 0, 0, 0, 0, 0) != 1)
		return;
	SYS4(rt_sigaction, SIGTERM, &action, NULL, sizeof(action.mask));
	SYS4(rt_sigaction, SIGINT, &action, NULL, sizeof(action.mask));
}

static const char *
or_default(const char *value, const char *usual)
{
	return *value ? value : usual;
}

static const char *
absolute(const char *path)
{
	static char here[4096];

	if (*path != '/' && SYS2(getcwd, here, sizeof(here)) > 0)
		return join(here, path);
	return join(path, "");
}

static void
warn_of_type(const struct launch *launch)
{
	const char *type = env_get(&launch->env, "CNB_PROCESS_TYPE");

	if (!*type)
		return;
	warn("CNB_PROCESS_TYPE is not supported in Platform API ", number(launch->platform.major), ".",
	     number(launch->platform.minor), NULL);
	warn("Run with ENTRYPOINT '", type, "' to invoke the '", type, "' process type", NULL);
}

static void
prepare(struct launch *launch, char **environ)
{
	struct environment *env = &launch->env;
	const char *mode;

	env_start(env, environ);
	mode = env_get(env, "CNB_DEPRECATION_MODE");
	api_check_platform(env_get(env, "CNB_PLATFORM_API"), &launch->platform, mode);
	launch->layers = absolute(or_default(env_get(env, "CNB_LAYERS_DIR"), "/layers"));
	launch->app = absolute(or_default(env_get(env, "CNB_APP_DIR"), "/workspace"));
	launch->exec_env = or_default(env_get(env, "CNB_EXEC_ENV"), "production");
	metadata_read(join(launch->layers, "config/metadata.toml"), &launch->metadata);
	api_check_buildpacks(&launch->metadata, mode);
	warn_of_type(launch);
	env_hide(env);
}

static void
enter_app(const struct launch *launch)
{
	long error = SYS1(chdir, launch->app);

	if (error < 0)
		fail(LAUNCH, "launch: change to app directory: chdir ", launch->app, ": ",
		     reason(error), NULL);
}

int
launch_main(char **argv, char **environ)
{
	struct launch launch = { 0 };
	struct process process;
	struct list user = { 0 };
	const char *type;

	reset_signals();
	let_be_stopped();
	launch.self = argv[0] ? argv[0] : "";
	if (argv[0])
		for (user.at = argv + 1; user.at[user.count];)
			user.count++;
	prepare(&launch, environ);
	type = base(launch.self);
	if (!process_known(&launch.metadata, type))
		type = "";
	process = process_choose(&launch, type, user);
	enter_app(&launch);
	layers_env(&launch, process.type);
	execd_run(&launch, process.type);
	exec_process(&launch, &process);
}
