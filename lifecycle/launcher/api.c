/* api.c: API versions, and which of them this launcher speaks (VER-1 to VER-5). */
#include "launcher.h"

/* All are of major 0. The highest deprecated minor, or -1: none is today, tests set others. */
#ifndef DEPRECATED_PLATFORM
#define DEPRECATED_PLATFORM -1
#endif
#ifndef DEPRECATED_BUILDPACK
#define DEPRECATED_BUILDPACK -1
#endif

struct range { long lowest, highest, deprecated; };

static const struct range platform_range = { 7, 15, DEPRECATED_PLATFORM };
static const struct range buildpack_range = { 7, 12, DEPRECATED_BUILDPACK };

/* Reads digits up to the first other byte; 0 when they are too many to be a version. */
static int
digits(const char **text, unsigned long *into)
{
	for (*into = 0; **text >= '0' && **text <= '9'; (*text)++) {
		if (*into > 100000000)
			return 0;
		*into = *into * 10 + (unsigned long)(**text - '0');
	}
	return 1;
}

/* ^v?(\d+)\.?(\d*)$ with a missing minor of 0 */
int
api_parse(const char *text, struct api *into)
{
	if (*text == 'v')
		text++;
	if (*text < '0' || *text > '9' || !digits(&text, &into->major))
		return 0;
	if (*text == '.')
		text++;
	return digits(&text, &into->minor) && !*text;
}

int
api_below(struct api api, unsigned minor)
{
	return api.major == 0 && api.minor < minor;
}

static int
is_in(const struct range *range, struct api api)
{
	return api.major == 0 && (long)api.minor >= range->lowest && (long)api.minor <= range->highest;
}

static int
is_deprecated(const struct range *range, struct api api)
{
	return (long)api.minor <= range->deprecated;
}

static int
is_blank(const char *text)
{
	while (*text == ' ' || (*text >= '\t' && *text <= '\r'))
		text++;
	return !*text;
}

void
api_check_platform(const char *text, struct api *into, const char *mode)
{
	const char *why = "";

	if (is_blank(text))
		fail(PLATFORM_API, "get platform API version; please set 'CNB_PLATFORM_API' "
		     "to specify the desired platform API version", NULL);
	if (!api_parse(text, into))
		fail(PLATFORM_API, "parse platform API '", text, "'", NULL);
	if (is_in(&platform_range, *into)) {
		if (!is_deprecated(&platform_range, *into) || equal(mode, "quiet"))
			return;
		if (!equal(mode, "error")) {
			warn("Platform requested deprecated API '", text, "'", NULL);
			return;
		}
		why = ": it is deprecated, and CNB_DEPRECATION_MODE=error disables deprecated APIs";
	}
	fail(PLATFORM_API, "set platform API: platform API version '", text,
	     "' is incompatible with the lifecycle", why, NULL);
}

static void
check_buildpack(struct buildpack *buildpack, const char *mode)
{
	const char *text = buildpack->api_text, *id = buildpack->id, *why = "";

	if (!api_parse(text, &buildpack->api))
		fail(BUILDPACK_API, "parse buildpack API '", text, "' for buildpack '", id, "'", NULL);
	if (is_in(&buildpack_range, buildpack->api)) {
		if (!is_deprecated(&buildpack_range, buildpack->api) || equal(mode, "quiet"))
			return;
		if (!equal(mode, "error")) {
			warn("buildpack '", id, "' requests deprecated API '", text, "'", NULL);
			return;
		}
		why = ": it is deprecated, and CNB_DEPRECATION_MODE=error disables deprecated APIs";
	}
	fail(BUILDPACK_API, "set API for buildpack '", id, "': buildpack API version '", text,
	     "' is incompatible with the lifecycle", why, NULL);
}

void
api_check_buildpacks(struct metadata *metadata, const char *mode)
{
	for (size_t i = 0; i < metadata->buildpacks; i++)
		check_buildpack(&metadata->buildpack[i], mode);
}
