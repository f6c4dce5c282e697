/* metadata.c: <layers>/config/metadata.toml to values (MDT-1, MDT-2). Other keys are passed over. */
#include "launcher.h"
#include "sys.h"
#include "toml.h"

size_t strlen(const char *s);

enum { METADATA_LIMIT = 8 << 20 };

static const char *file;  /* for messages */

static void refuse(const struct toml *at, const char *key, const char *want)
	__attribute__((noreturn));

static void
refuse(const struct toml *at, const char *key, const char *want)
{
	fail(FAILED, "read metadata: ", file, ":", number(at->line), ": ", key, " must be ", want, NULL);
}

static const char *
text_of(const struct toml *at, const char *key)
{
	if (at->kind != TOML_STRING)
		refuse(at, key, "a string");
	if (strlen(at->text) != at->length)
		refuse(at, key, "a string without NUL bytes");
	return at->text;
}

static const char *
get_text(const struct toml *table, const char *key)
{
	const struct toml *at = toml_get(table, key);

	return at ? text_of(at, key) : "";
}

static struct list
get_texts(const struct toml *table, const char *key)
{
	const struct toml *at = toml_get(table, key);
	struct list list = { 0 };

	if (!at)
		return list;
	if (at->kind != TOML_ARRAY)
		refuse(at, key, "an array of strings");
	for (at = at->first; at; at = at->next)
		push(&list, text_of(at, key));
	return list;
}

/* An array since platform 0.10, one string before. */
static struct list
get_command(const struct toml *table)
{
	const struct toml *at = toml_get(table, "command");
	struct list list = { 0 };

	if (!at || at->kind == TOML_ARRAY)
		return get_texts(table, "command");
	if (at->kind != TOML_STRING)
		refuse(at, "command", "a string or an array of strings");
	push(&list, text_of(at, "command"));
	return list;
}

static int
get_truth(const struct toml *table, const char *key)
{
	const struct toml *at = toml_get(table, key);

	if (at && at->kind != TOML_BOOL)
		refuse(at, key, "true or false");
	return at && at->truth;
}

/* The array of tables at `key`, NULL when there is none; *count is its length. */
static const struct toml *
get_tables(const struct toml *root, const char *key, size_t *count)
{
	const struct toml *at = toml_get(root, key);

	*count = 0;
	if (!at)
		return NULL;
	if (at->kind != TOML_ARRAY)
		refuse(at, key, "an array of tables");
	for (const struct toml *each = at->first; each; each = each->next, (*count)++)
		if (each->kind != TOML_TABLE)
			refuse(each, key, "an array of tables");
	return at->first;
}

static struct process
process_of(const struct toml *table)
{
	return (struct process){
		.type = get_text(table, "type"),
		.buildpack = get_text(table, "buildpack-id"),
		.dir = get_text(table, "working-dir"),
		.command = get_command(table),
		.args = get_texts(table, "args"),
		.exec_env = get_texts(table, "exec-env"),
		.direct = get_truth(table, "direct"),
	};
}

void
metadata_read(const char *path, struct metadata *into)
{
	const struct toml *root, *at;
	struct toml_error error;
	size_t length;
	char *text;
	long result = file_load(AT_FDCWD, path, &text, &length, METADATA_LIMIT);

	file = path;
	if (result < 0)
		fail(FAILED, "read metadata: open ", path, ": ", reason(result), NULL);
	root = toml_parse(text, length, &error);
	if (!root)
		fail(FAILED, "read metadata: ", path, ":", number(error.line), ": ", error.what, NULL);

	at = get_tables(root, "processes", &into->processes);
	into->process = alloc(into->processes * sizeof(*into->process));
	for (size_t i = 0; at; at = at->next)
		into->process[i++] = process_of(at);

	at = get_tables(root, "buildpacks", &into->buildpacks);
	into->buildpack = alloc(into->buildpacks * sizeof(*into->buildpack));
	for (size_t i = 0; at; at = at->next, i++) {
		into->buildpack[i].id = get_text(at, "id");
		into->buildpack[i].api_text = get_text(at, "api");
	}
}
