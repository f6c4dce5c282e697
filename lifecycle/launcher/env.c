/* env.c: the environment of the process (ENV-8 to ENV-17). Bytes are kept as they are. */
#include "launcher.h"
#include "sys.h"

size_t strlen(const char *s);
void *memcpy(void *restrict to, const void *restrict from, size_t size);

enum { FILE_LIMIT = 16 << 20 };

static const char *const hidden[] = {
	"CNB_LAYERS_DIR", "CNB_APP_DIR", "CNB_PROCESS_TYPE", "CNB_PLATFORM_API",
	"CNB_DEPRECATION_MODE", NULL
};

static struct variable *
find(const struct environment *env, const char *name)
{
	for (size_t i = 0; i < env->count; i++)
		if (equal(env->at[i].name, name))
			return &env->at[i];
	return NULL;
}

const char *
env_get(const struct environment *env, const char *name)
{
	struct variable *found = find(env, name);

	return found ? found->value : "";
}

void
env_set(struct environment *env, const char *name, const char *value)
{
	struct variable *found = find(env, name);

	if (!found) {
		env->at = grow(env->at, env->count, &env->room, sizeof(*env->at));
		found = &env->at[env->count++];
		found->name = name;
	}
	found->value = value;
}

static int
is_hidden(const char *name)
{
	for (const char *const *at = hidden; *at; at++)
		if (equal(*at, name))
			return 1;
	return 0;
}

/* Takes every /cnb/process and /cnb/lifecycle out of a list of directories. */
static char *
strip(const char *path)
{
	char *text = alloc(strlen(path) + 2), *to = text;

	for (;;) {
		char *part = to;

		while (*path && *path != ':')
			*to++ = *path++;
		*to = 0;
		if (equal(part, "/cnb/process") || equal(part, "/cnb/lifecycle"))
			to = part;
		else
			*to++ = ':';
		if (!*path++)
			break;
	}
	if (to > text)
		to--;
	*to = 0;
	return text;
}

/* Splits "name=value"; what has no '=' is dropped, and of two of one name the first counts, as in Go. */
void
env_start(struct environment *env, char **environ)
{
	for (; *environ; environ++) {
		const char *value = *environ;
		char *name;

		while (*value && *value != '=')
			value++;
		if (!*value)
			continue;
		name = alloc((size_t)(value - *environ) + 1);
		memcpy(name, *environ, (size_t)(value - *environ));
		if (!find(env, name))
			env_set(env, name, value + 1);
	}
}

void
env_hide(struct environment *env)
{
	struct variable *path = find(env, "PATH");
	size_t kept = 0;

	if (path)
		path->value = strip(path->value);
	for (size_t i = 0; i < env->count; i++)
		if (!is_hidden(env->at[i].name))
			env->at[kept++] = env->at[i];
	env->count = kept;
}

static void
add_root(struct environment *env, const char *layer, const char *dir, const char *name)
{
	const char *path = join(layer, dir), *old = env_get(env, name);
	long mode = file_mode(path);

	if (mode == -ENOENT)
		return;
	if (mode < 0)
		fail(LAUNCH, "launch: modify env: add layer root: stat ", path, ": ", reason(mode), NULL);
	env_set(env, name, concat(path, *old ? ":" : "", old, NULL));
}

void
env_add_root(struct environment *env, const char *layer)
{
	add_root(env, layer, "bin", "PATH");
	add_root(env, layer, "lib", "LD_LIBRARY_PATH");
}

/* A directory of variables. Each file is read once: a delimiter is asked for ahead of its turn. */
struct variables {
	const char *dir;
	int fd;
	struct directory files;
	const char **text;  /* of each file; NULL until it is read */
};

static const char *
contents(struct variables *from, size_t at, long *error)
{
	const char *name = from->files.at[at].name;
	char *text = NULL;
	size_t length = 0;

	*error = 0;
	if (from->text[at])
		return from->text[at];
	*error = file_load(from->fd, name, &text, &length, FILE_LIMIT);
	if (*error == 0 && strlen(text) != length)
		fail(LAUNCH, "launch: modify env: ", join(from->dir, name), " holds a NUL byte, "
		     "which no environment variable can", NULL);
	return from->text[at] = text;
}

/* What <name>.delim beside the file says, else `usual`. */
static const char *
delimiter(struct variables *from, const char *name, const char *usual)
{
	const char *file = concat(name, ".delim", NULL), *text;
	size_t low = 0, high = from->files.count;
	long error;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int place = order(from->files.at[middle].name, file);

		if (place == 0) {
			text = contents(from, middle, &error);
			return error < 0 ? usual : text;
		}
		if (place < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return usual;
}

static void
apply(struct environment *env, struct variables *from, const char *file, const char *value)
{
	char *name = concat(file, NULL), *action = name;
	const char *old;

	while (*action && *action != '.')
		action++;
	if (!*action)
		action = "override";
	else
		*action++ = 0;
	old = env_get(env, name);

	if (equal(action, "override"))
		env_set(env, name, value);
	else if (equal(action, "default"))
		env_set(env, name, *old ? old : value);
	else if (equal(action, "append"))
		env_set(env, name, *old ? concat(old, delimiter(from, name, ""), value, NULL) : value);
	else if (equal(action, "prepend"))
		env_set(env, name, *old ? concat(value, delimiter(from, name, ""), old, NULL) : value);
	else if (equal(action, ""))  /* "NAME.", in no specification: the Go lifecycle prepends with a colon */
		env_set(env, name, *old ? concat(value, delimiter(from, name, ":"), old, NULL) : value);
}

void
env_add_dir(struct environment *env, const char *dir)
{
	struct variables from = { dir, -1, { NULL, 0 }, NULL };
	long error = directory_open(dir, &from.files);

	if (error == -ENOENT)
		return;
	if (error < 0)
		fail(LAUNCH, "launch: modify env: open ", dir, ": ", reason(error), NULL);
	from.fd = (int)error;
	from.text = alloc(from.files.count * sizeof(*from.text));
	for (size_t i = 0; i < from.files.count; i++)
		from.text[i] = NULL;
	for (size_t i = 0; i < from.files.count; i++) {
		const struct entry *file = &from.files.at[i];
		long mode = file->plain || file->dir ? 0 : file_mode(join(dir, file->name));
		const char *value;

		if (file->dir || (mode >= 0 && S_KIND(mode) == S_DIR))
			continue;
		value = contents(&from, i, &error);
		if (error < 0)
			fail(LAUNCH, "launch: modify env: open ", join(dir, file->name), ": ",
			     reason(error), NULL);
		apply(env, &from, file->name, value);
	}
	SYS1(close, from.fd);
}

char **
env_list(const struct environment *env)
{
	char **list = alloc((env->count + 1) * sizeof(*list));

	for (size_t i = 0; i < env->count; i++)
		list[i] = concat(env->at[i].name, "=", env->at[i].value, NULL);
	return list;
}
