/* SPDX-License-Identifier: MIT. hello - the smallest drive: one file, four operations. */
#include <driveway/filesystem.h>
#include <errno.h>
#include <string.h>

static const char text[] = "Hello from a drive of your own.\n";
enum { ROOT = DW_NODE_ROOT, GREETING = 2 };

static int hello_getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			 struct dw_attr *out, uint64_t *timeout)
{
	*out = node == ROOT ? (struct dw_attr){.ino = ROOT, .mode = DW_MODE_FOLDER | 0555, .nlink = 2}
			    : (struct dw_attr){.ino = GREETING, .mode = DW_MODE_FILE | 0444, .nlink = 1};
	out->size = node == GREETING ? sizeof(text) - 1 : 0;
	return 0;
}

static int hello_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
			struct dw_entry *out)
{
	if (strcmp(name, "hello.txt") != 0)
		return -ENOENT;
	*out = (struct dw_entry){GREETING, 0, DW_TIMEOUT_DEFAULT, DW_TIMEOUT_DEFAULT, {0}};
	return hello_getattr(fs, req, GREETING, DW_NO_HANDLE, &out->attr, NULL);
}

static int hello_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
			 uint64_t offset, struct dw_listing *listing)
{
	struct dw_entry entry;

	if (offset == 0 && hello_lookup(fs, req, node, "hello.txt", &entry) == 0)
		listing->add(listing, "hello.txt", strlen("hello.txt"), 1, &entry);
	return 0;
}

static int hello_read(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		      void *buffer, size_t size, uint64_t offset, size_t *done)
{
	size_t left = offset < sizeof(text) - 1 ? sizeof(text) - 1 - (size_t)offset : 0;

	*done = size < left ? size : left;
	memcpy(buffer, text + sizeof(text) - 1 - left, *done);
	return 0;
}

static const struct dw_filesystem_ops ops = {sizeof(ops), hello_lookup, hello_getattr, hello_readdir, hello_read};
static struct dw_filesystem hello = {sizeof(hello), &ops, DW_FS_READ_ONLY, 0, 1000000000, 1000000000, 1000000000};

static int hello_open(const struct dw_provider *provider, const struct dw_source *source, struct dw_host *host,
		      struct dw_filesystem **out, char *error, size_t error_size)
{
	*out = &hello;
	return 0;
}

const struct dw_provider driveway_provider = {
	sizeof(driveway_provider), DW_API_VERSION, 0, "hello", "a drive with one file", NULL, hello_open,
};
