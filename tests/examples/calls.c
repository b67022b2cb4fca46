/* SPDX-License-Identifier: MIT */
/* Loads the example plug-ins as the service does and calls their operations: calls hello.so notes.so */
#include <dlfcn.h>
#include <driveway/filesystem.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                  \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static struct dw_notes notes_of_request;
static const volatile uint32_t never;
static const struct dw_request req = {
	.size = sizeof(req), .uid = 7, .gid = 8, .notes = &notes_of_request, .interrupted = &never};

static struct dw_filesystem *load(const char *path, const char *name)
{
	static struct dw_host host = {.size = sizeof(host)};
	struct dw_source source = {.size = sizeof(source), .rest = "", .cache = ""};
	void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct dw_provider *provider = object ? dlsym(object, DW_PROVIDER_SYMBOL) : NULL;
	struct dw_filesystem *fs = NULL;
	char error[256] = "";

	if (!provider) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	CHECK(provider->size == sizeof(*provider) && provider->version == DW_API_VERSION);
	CHECK(strcmp(provider->name, name) == 0);
	CHECK(provider->open(provider, &source, &host, &fs, error, sizeof(error)) == 0);
	CHECK(fs && fs->size == sizeof(*fs) && fs->ops->size == sizeof(*fs->ops));
	return fs;
}

/* Collects names as "a b c ". */
struct names {
	struct dw_listing listing;
	char text[1024];
	size_t room; /* entries that still fit */
	uint64_t next;
};

static bool names_add(struct dw_listing *listing, const char *name, size_t length, uint64_t next,
		      const struct dw_entry *entry)
{
	struct names *names = (struct names *)listing;

	if (!names->room)
		return false;
	names->room--;
	names->next = next;
	CHECK(next && entry->node && entry->attr.mode);
	snprintf(names->text + strlen(names->text), sizeof(names->text) - strlen(names->text), "%.*s ", (int)length,
		 name);
	return true;
}

/* Names of a folder, asked for two at a time. */
static const char *list(struct dw_filesystem *fs, uint64_t node)
{
	static struct names names;
	size_t before;

	memset(&names, 0, sizeof(names));
	names.listing.add = names_add;
	do {
		before = strlen(names.text);
		names.room = 2;
		CHECK(fs->ops->readdir(fs, &req, node, 0, names.next, &names.listing) == 0);
	} while (strlen(names.text) > before);
	return names.text;
}

static void check_hello(const char *path)
{
	struct dw_filesystem *fs = load(path, "hello");
	uint64_t timeout = DW_TIMEOUT_DEFAULT;
	struct dw_entry entry;
	struct dw_attr attr;
	char text[100];
	size_t done;

	CHECK(fs->flags & DW_FS_READ_ONLY);
	CHECK(fs->ops->getattr(fs, &req, DW_NODE_ROOT, DW_NO_HANDLE, &attr, &timeout) == 0);
	CHECK((attr.mode & DW_MODE_TYPE) == DW_MODE_FOLDER);
	CHECK(strcmp(list(fs, DW_NODE_ROOT), "hello.txt ") == 0);
	CHECK(fs->ops->lookup(fs, &req, DW_NODE_ROOT, "other", &entry) == -ENOENT);
	CHECK(fs->ops->lookup(fs, &req, DW_NODE_ROOT, "hello.txt", &entry) == 0);
	CHECK(fs->ops->read(fs, &req, entry.node, 0, text, sizeof(text), 0, &done) == 0);
	CHECK(done == entry.attr.size && memcmp(text, "Hello", 5) == 0);
	CHECK(fs->ops->read(fs, &req, entry.node, 0, text, 5, 6, &done) == 0);
	CHECK(done == 5 && memcmp(text, "from ", 5) == 0);
	CHECK(fs->ops->read(fs, &req, entry.node, 0, text, 5, entry.attr.size, &done) == 0 && done == 0);
	CHECK(fs->ops->write == NULL);
}

static void check_notes_data(struct dw_filesystem *fs, uint64_t node)
{
	struct dw_setattr size = {.valid = DW_SET_SIZE, .size = 3};
	struct dw_attr attr;
	char text[16];
	size_t done;

	CHECK(fs->ops->write(fs, &req, node, 0, "world", 5, 6, 0, &done) == 0 && done == 5);
	CHECK(fs->ops->write(fs, &req, node, 0, "hello", 5, 0, 0, &done) == 0 && done == 5);
	CHECK(fs->ops->read(fs, &req, node, 0, text, sizeof(text), 0, &done) == 0 && done == 11);
	CHECK(memcmp(text, "hello\0world", 11) == 0);
	CHECK(fs->ops->setattr(fs, &req, node, DW_NO_HANDLE, &size, &attr) == 0 && attr.size == 3);
	size.size = 5;
	CHECK(fs->ops->setattr(fs, &req, node, DW_NO_HANDLE, &size, &attr) == 0 && attr.size == 5);
	CHECK(fs->ops->read(fs, &req, node, 0, text, sizeof(text), 0, &done) == 0 && done == 5);
	CHECK(memcmp(text, "hel\0\0", 5) == 0);
	size.size = UINT64_MAX / 2;
	CHECK(fs->ops->setattr(fs, &req, node, DW_NO_HANDLE, &size, &attr) == -ENOSPC);
}

static void check_notes(const char *path)
{
	struct dw_filesystem *fs = load(path, "notes");
	struct dw_entry folder, file, other, again;
	struct dw_forget forget;
	uint64_t root = DW_NODE_ROOT;

	CHECK(fs->ops->mkdir(fs, &req, root, "folder", 0755, &folder) == 0);
	CHECK(fs->ops->mkdir(fs, &req, root, "folder", 0755, &other) == -EEXIST);
	CHECK(fs->ops->mknod(fs, &req, folder.node, "file", DW_MODE_FILE | 0644, 0, 0, &file) == 0);
	CHECK(file.attr.uid == 7 && file.attr.gid == 8 && file.attr.size == 0);
	check_notes_data(fs, file.node);
	CHECK(fs->ops->rmdir(fs, &req, root, "folder") == -ENOTEMPTY);
	CHECK(fs->ops->mknod(fs, &req, root, "a", DW_MODE_FILE | 0644, 0, 0, &other) == 0);
	CHECK(fs->ops->mknod(fs, &req, root, "b", DW_MODE_FILE | 0644, 0, 0, &other) == 0);
	CHECK(strcmp(list(fs, root), "folder a b ") == 0);
	CHECK(fs->ops->rename(fs, &req, folder.node, "file", root, "a", DW_RENAME_NOREPLACE) == -EEXIST);
	CHECK(fs->ops->rename(fs, &req, folder.node, "file", root, "a", DW_RENAME_EXCHANGE) == -EINVAL);
	CHECK(fs->ops->rename(fs, &req, folder.node, "file", root, "a", 0) == 0);
	CHECK(fs->ops->rename(fs, &req, root, "missing", root, "c", 0) == -ENOENT);
	CHECK(fs->ops->lookup(fs, &req, root, "a", &again) == 0 && again.node == file.node);
	CHECK(fs->ops->rmdir(fs, &req, root, "folder") == 0);
	CHECK(fs->ops->unlink(fs, &req, root, "b") == 0);
	CHECK(fs->ops->lookup(fs, &req, root, "b", &again) == -ENOENT);

	/* A deleted file can be read until it is forgotten; only then may its id name another. */
	CHECK(fs->ops->mknod(fs, &req, root, "c", DW_MODE_FILE | 0644, 0, 0, &again) == 0);
	CHECK(again.node != other.node);
	forget = (struct dw_forget){.node = other.node, .count = 1};
	fs->ops->forget(fs, &req, &forget, 1);
	CHECK(fs->ops->mknod(fs, &req, root, "d", DW_MODE_FILE | 0644, 0, 0, &again) == 0);
	CHECK(again.node == other.node && again.attr.size == 0);
	fs->ops->close(fs);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: calls HELLO.SO NOTES.SO\n");
		return 2;
	}
	check_hello(argv[1]);
	check_notes(argv[2]);
	return 0;
}
