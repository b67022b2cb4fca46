/* SPDX-License-Identifier: MIT */
/*
 * odd - a provider that misbehaves when it is told to
 *
 * A read-only drive with one file, "file". Options:
 *    fail-if=PATH    open fails while PATH exists
 *    wait-while=PATH open does not return while PATH exists
 * A look-up of a name that begins with "hang" does not return while the file named by SOURCE's REST exists.
 */
#include <driveway/filesystem.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char content[] = "content of an odd drive\n";

struct odd {
	struct dw_filesystem fs;
	char hang_while[256];
};

static void wait_while(const char *path)
{
	while (*path && access(path, F_OK) == 0)
		usleep(5000);
}

static void describe(uint64_t node, struct dw_attr *out)
{
	memset(out, 0, sizeof(*out));
	out->ino = node;
	out->nlink = 1;
	out->uid = geteuid();
	out->mode = node == DW_NODE_ROOT ? DW_MODE_FOLDER | 0755 : DW_MODE_FILE | 0444;
	out->size = node == DW_NODE_ROOT ? 0 : strlen(content);
}

static int odd_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		      struct dw_entry *out)
{
	struct odd *odd = (struct odd *)fs;

	if (strncmp(name, "hang", 4) == 0)
		wait_while(odd->hang_while);
	if (strcmp(name, "file") != 0)
		return -ENOENT;
	*out = (struct dw_entry){.node = 2, .entry_timeout = DW_TIMEOUT_DEFAULT, .attr_timeout = DW_TIMEOUT_DEFAULT};
	describe(2, &out->attr);
	return 0;
}

static int odd_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		       struct dw_attr *out, uint64_t *timeout)
{
	describe(node, out);
	return 0;
}

static int odd_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		       uint64_t offset, struct dw_listing *listing)
{
	struct dw_entry entry = {.node = 2, .entry_timeout = DW_TIMEOUT_DEFAULT, .attr_timeout = DW_TIMEOUT_DEFAULT};

	describe(2, &entry.attr);
	if (offset == 0)
		listing->add(listing, "file", 4, 1, &entry);
	return 0;
}

static int odd_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		    void *buffer, size_t size, uint64_t offset, size_t *done)
{
	size_t length = strlen(content);

	*done = offset < length ? length - offset : 0;
	if (*done > size)
		*done = size;
	memcpy(buffer, content + offset, *done);
	return 0;
}

static void odd_close(struct dw_filesystem *fs)
{
	free(fs);
}

static const struct dw_filesystem_ops odd_ops = {
	.size = sizeof(struct dw_filesystem_ops),
	.lookup = odd_lookup,
	.getattr = odd_getattr,
	.readdir = odd_readdir,
	.read = odd_read,
	.close = odd_close,
};

static int odd_open(const struct dw_provider *provider, const struct dw_source *source, struct dw_host *host,
		    struct dw_filesystem **out, char *error, size_t error_size)
{
	struct odd *odd = calloc(1, sizeof(*odd));

	if (!odd)
		return -ENOMEM;
	for (size_t i = 0; i < source->option_count; i++) {
		const struct dw_option *option = &source->options[i];

		if (strcmp(option->key, "wait-while") == 0) {
			wait_while(option->value);
		} else if (strcmp(option->key, "fail-if") != 0) {
			snprintf(error, error_size, "odd has no option %s", option->key);
			free(odd);
			return -EINVAL;
		} else if (access(option->value, F_OK) == 0) {
			snprintf(error, error_size, "odd does not open while %s is there: remove it", option->value);
			free(odd);
			return -EHOSTDOWN;
		}
	}
	snprintf(odd->hang_while, sizeof(odd->hang_while), "%s", source->rest);
	odd->fs = (struct dw_filesystem){.size = sizeof(odd->fs), .ops = &odd_ops};
	*out = &odd->fs;
	return 0;
}

extern const struct dw_provider driveway_provider;
const struct dw_provider driveway_provider = {
	.size = sizeof(struct dw_provider),
	.version = DW_API_VERSION,
	.name = "odd",
	.summary = "for tests",
	.open = odd_open,
};
