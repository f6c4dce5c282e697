/* process.c: which process to start, with which arguments (LA-3 to LA-6 and the table of 15.2). */
#include "launcher.h"

/* Is there one of this type, whatever its execution environment? */
int
process_known(const struct metadata *metadata, const char *type)
{
	for (size_t i = 0; i < metadata->processes; i++)
		if (equal(metadata->process[i].type, type))
			return 1;
	return 0;
}

static int
is_eligible(const struct launch *launch, const struct process *process)
{
	const struct list *list = &process->exec_env;

	if (api_below(launch->platform, 15) || list->count == 0)
		return 1;
	for (size_t i = 0; i < list->count; i++)
		if (equal(list->at[i], "*") || equal(list->at[i], launch->exec_env))
			return 1;
	return 0;
}

static struct process
find(const struct launch *launch, const char *type)
{
	const struct metadata *metadata = &launch->metadata;

	for (size_t i = 0; i < metadata->processes; i++)
		if (equal(metadata->process[i].type, type) && is_eligible(launch, &metadata->process[i]))
			return metadata->process[i];
	fail(LAUNCH, "launch: determine start command: process type ", type, " was not found", NULL);
}

static struct api
api_of(const struct launch *launch, const struct process *process)
{
	const struct metadata *metadata = &launch->metadata;

	for (size_t i = 0; i < metadata->buildpacks; i++)
		if (equal(metadata->buildpack[i].id, process->buildpack))
			return metadata->buildpack[i].api;
	fail(LAUNCH, "launch: determine start command: failed to find buildpack for process ",
	     process->type, " with buildpack ID ", process->buildpack, NULL);
}

static struct list
rest(struct list list)
{
	return (struct list){ list.at + 1, list.count - 1, 0 };
}

static void
add_user_args(const struct launch *launch, struct process *process, struct list user)
{
	struct list args = process->args;

	if (api_below(launch->platform, 10)) {
		extend(&process->args, user);
	} else if (process->command.count > 1) {
		process->args = rest(process->command);
		process->command = (struct list){ 0 };
		push(&process->command, process->args.at[-1]);
		extend(&process->args, user.count ? user : args);
	} else if (user.count) {
		if (api_below(api_of(launch, process), 9))
			extend(&process->args, user);
		else
			process->args = user;
	}
}

static struct process
from_user(struct list user)
{
	struct process process = { "", "", "", { 0 }, { 0 }, { 0 }, 0 };

	if (user.count == 0)
		fail(LAUNCH, "launch: determine start command: "
		     "when there is no default process a command is required", NULL);
	if (user.count > 1 && equal(user.at[0], "--")) {
		process.direct = 1;
		user = rest(user);
	}
	push(&process.command, user.at[0]);
	process.args = rest(user);
	return process;
}

/* An empty type stands for none: then the user's words are the command. */
struct process
process_choose(const struct launch *launch, const char *type, struct list user)
{
	struct process process;

	if (!*type)
		return from_user(user);
	process = find(launch, type);
	add_user_args(launch, &process, user);
	return process;
}
