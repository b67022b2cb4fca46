/* SPDX-License-Identifier: MIT */
/*
 * wrong - plug-ins that must be refused, or must work although they are old; WRONG says which
 */
#include <driveway/filesystem.h>
#include <errno.h>

#define NO_SYMBOL    0 /* nothing is exported under the well-known name */
#define GENERATION   1 /* of an incompatible generation */
#define SHORT	     2 /* so short that it has no open function */
#define NO_OPEN	     3
#define BAD_NAME     4
#define SHORT_OPS    5 /* opens, but with operations that are too short */
#define OLDER	     6 /* of the same generation, earlier: works */
#define NO_ANSWER    7 /* open says success and gives nothing */
#define SAYS_NOTHING 8 /* open fails without a word */

static int wrong_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			struct dw_entry *out)
{
	return -ENOENT;
}

static const struct dw_filesystem_ops wrong_ops = {.size = 16, .lookup = wrong_lookup};
static struct dw_filesystem wrong_fs = {.size = sizeof(struct dw_filesystem), .ops = &wrong_ops};

static int wrong_open(const struct dw_provider *provider, const struct dw_source *source, struct dw_host *host,
		      struct dw_filesystem **out, char *error, size_t error_size)
{
	if (WRONG == SHORT_OPS)
		*out = &wrong_fs;
	return WRONG == SAYS_NOTHING ? -ENETUNREACH : 0;
}

#if WRONG == NO_SYMBOL
#define SYMBOL some_other_provider
#else
#define SYMBOL driveway_provider
#endif

extern const struct dw_provider SYMBOL;
const struct dw_provider SYMBOL = {
	.size = WRONG == SHORT ? offsetof(struct dw_provider, open) : sizeof(struct dw_provider),
	.version = WRONG == GENERATION ? DW_API_VERSION + 0x10000 : DW_API_VERSION,
	.name = WRONG == BAD_NAME ? "Bad Name" : "wrong",
	.summary = "for tests",
	.open = WRONG == NO_OPEN ? NULL : wrong_open,
};
