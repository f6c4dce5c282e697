/* layer.c: the layers of the image, in the order of their buildpacks and then of their bytes. */
#include "launcher.h"
#include "sys.h"

/* Is there such a directory? */
static int
list_or_fail(const char *path, struct directory *into)
{
	long error = directory_read(path, into);

	if (error < 0 && error != -ENOENT)
		fail(LAUNCH, "launch: list files in '", path, "': ", reason(error), NULL);
	return error != -ENOENT;
}

/* <layers>/<id with every / as _> */
static char *
buildpack_dir(const struct launch *launch, const char *id)
{
	char *name = concat(id, NULL);

	for (char *at = name; *at; at++)
		if (*at == '/')
			*at = '_';
	return join(launch->layers, name);
}

/* Layers are directories; a link to one is none. */
static struct list
layers_of(const char *dir)
{
	struct directory entries;
	struct list layers = { 0 };

	list_or_fail(dir, &entries);
	for (size_t i = 0; i < entries.count; i++)
		if (entries.at[i].dir)
			push(&layers, join(dir, entries.at[i].name));
	return layers;
}

static void
visit_all(struct launch *launch, struct list layers, visitor *visit, void *more)
{
	for (size_t i = 0; i < layers.count; i++)
		visit(launch, layers.at[i], more);
}

void
each_layer(struct launch *launch, visitor *visit, void *more)
{
	const struct metadata *metadata = &launch->metadata;

	for (size_t i = 0; i < metadata->buildpacks; i++)
		visit_all(launch, layers_of(buildpack_dir(launch, metadata->buildpack[i].id)), visit, more);
}

static int
each_file_of(struct launch *launch, const char *dir, visitor *visit, void *more)
{
	struct directory files;
	int there = list_or_fail(dir, &files);

	for (size_t i = 0; i < files.count; i++)
		if (!files.at[i].dir)
			visit(launch, join(dir, files.at[i].name), more);
	return there;
}

/* Per layer, plain ones and then those of the type: the Go order, not the specification's (D9). */
void
each_file(struct launch *launch, const char *layer, const char *dir, const char *type,
          visitor *visit, void *more)
{
	if (each_file_of(launch, join(layer, dir), visit, more) && *type)
		each_file_of(launch, join(join(layer, dir), type), visit, more);
}

static void
add_root(struct launch *launch, const char *layer, void *more)
{
	(void)more;
	env_add_root(&launch->env, layer);
}

static void
add_files(struct launch *launch, const char *layer, void *more)
{
	const char *type = more;

	env_add_dir(&launch->env, join(layer, "env"));
	env_add_dir(&launch->env, join(layer, "env.launch"));
	if (*type)
		env_add_dir(&launch->env, join(join(layer, "env.launch"), type));
}

/* ENV-15: of each buildpack, first the roots of all layers and then the files of all. */
void
layers_env(struct launch *launch, const char *type)
{
	const struct metadata *metadata = &launch->metadata;

	for (size_t i = 0; i < metadata->buildpacks; i++) {
		struct list layers = layers_of(buildpack_dir(launch, metadata->buildpack[i].id));

		visit_all(launch, layers, add_root, NULL);
		visit_all(launch, layers, add_files, (void *)type);
	}
}
