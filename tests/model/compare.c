/* SPDX-License-Identifier: MIT */
/* compare.c - holding a real folder against the model */
#include "compare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Time stamps are taken from a clock that ticks up to 10 ms apart. */
#define TICK_NS 20000000ll

static int differs(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int differs(const char *path, const char *format, ...)
{
	va_list list;

	printf("  %s: ", path);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n");
	return 1;
}

static long long nanoseconds(struct timespec time)
{
	return (long long)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int compare_time(const char *path, struct timespec got, const struct model_node *node)
{
	struct timespec now;

	if (node->time_kind == MODEL_TIME_UNKNOWN)
		return 0;
	if (node->time_kind == MODEL_TIME_EXACT) {
		if (nanoseconds(got) != nanoseconds(node->mtime))
			return differs(path, "mtime is %lld ns, was set to %lld", nanoseconds(got),
				       nanoseconds(node->mtime));
		return 0;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	if (nanoseconds(got) < nanoseconds(node->mtime) - TICK_NS || nanoseconds(got) > nanoseconds(now) + TICK_NS)
		return differs(path, "mtime is %lld ms off the last change",
			       (nanoseconds(got) - nanoseconds(node->mtime)) / 1000000);
	return 0;
}

int compare_attributes(const struct compare_traits *traits, const char *path, int fd, const struct model_node *node)
{
	static const mode_t types[] = {S_IFREG, S_IFDIR, S_IFLNK};
	struct stat st;
	int failures = 0;

	if ((fd >= 0 ? fstat(fd, &st) : lstat(path, &st)) != 0)
		return differs(path, "%s when asked for attributes", strerrorname_np(errno));
	if (st.st_mode != (types[node->type] | node->mode))
		failures += differs(path, "mode is %06o, expected %06o", st.st_mode, types[node->type] | node->mode);
	if (node->type != MODEL_FOLDER && st.st_nlink != (nlink_t)node->links)
		failures += differs(path, "%lu links, expected %d", (unsigned long)st.st_nlink, node->links);
	if (node->type == MODEL_FOLDER && traits->counts_folders && node->links > 0 &&
	    st.st_nlink != (nlink_t)(2 + model_folders_in(node)))
		failures += differs(path, "%lu links, expected %d", (unsigned long)st.st_nlink,
				    2 + model_folders_in(node));
	if (node->type != MODEL_FOLDER && st.st_size != (off_t)node->size)
		failures += differs(path, "%lld bytes, expected %zu", (long long)st.st_size, node->size);
	return failures + compare_time(path, st.st_mtim, node);
}

int compare_content(const char *path, int fd, const struct model_node *node)
{
	uint8_t *bytes = malloc(MODEL_SIZE_MAX + 1);
	ssize_t got;
	int failures = 0;

	if (!bytes)
		return differs(path, "no memory to compare it");
	got = pread(fd, bytes, MODEL_SIZE_MAX + 1, 0);
	if (got < 0) {
		failures = differs(path, "%s when read", strerrorname_np(errno));
	} else if ((size_t)got != node->size) {
		failures = differs(path, "%zd bytes were read, expected %zu", got, node->size);
	} else {
		for (size_t i = 0; i < node->size && !failures; i++)
			if (bytes[i] != node->bytes[i])
				failures = differs(path, "byte %zu is %#x, expected %#x", i, bytes[i], node->bytes[i]);
	}
	free(bytes);
	return failures;
}

static int compare_xattrs(const char *path, const struct model_node *node)
{
	uint8_t value[64];
	char list[4096];
	ssize_t size = llistxattr(path, list, sizeof(list));
	int failures = 0, expected = 0, found = 0;

	if (size < 0)
		return differs(path, "%s when its attributes were listed", strerrorname_np(errno));
	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(list + at) + 1)
		found += strncmp(list + at, "user.", 5) == 0;
	for (int i = 0; i < MODEL_XATTRS; i++) {
		ssize_t got;

		if (!node->xattrs[i].name[0])
			continue;
		expected++;
		got = lgetxattr(path, node->xattrs[i].name, value, sizeof(value));
		if (got != (ssize_t)node->xattrs[i].size || memcmp(value, node->xattrs[i].value, (size_t)got) != 0)
			failures += differs(path, "attribute %s has another value", node->xattrs[i].name);
	}
	if (found != expected)
		failures += differs(path, "%d attributes, expected %d", found, expected);
	return failures;
}

static int compare_node(const struct compare_traits *traits, const char *path, const struct model_node *node);

static int compare_folder(const struct compare_traits *traits, const char *path, const struct model_node *node)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t found = 0;
	int failures = 0;

	if (!dir)
		return differs(path, "%s when listed", strerrorname_np(errno));
	while ((entry = readdir(dir)) != NULL) {
		bool known = false;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		found++;
		for (size_t i = 0; i < node->entry_count && !known; i++)
			known = strcmp(node->entries[i].name, entry->d_name) == 0;
		if (!known)
			failures += differs(path, "lists %s, which is not there", entry->d_name);
	}
	closedir(dir);
	if (found != node->entry_count)
		failures += differs(path, "lists %zu entries, expected %zu", found, node->entry_count);
	for (size_t i = 0; i < node->entry_count; i++) {
		char below[PATH_MAX];

		snprintf(below, sizeof(below), "%s/%s", path, node->entries[i].name);
		failures += compare_node(traits, below, node->entries[i].node);
	}
	return failures;
}

static int compare_node(const struct compare_traits *traits, const char *path, const struct model_node *node)
{
	int failures = compare_attributes(traits, path, -1, node);

	if (traits->xattrs && node->type != MODEL_LINK)
		failures += compare_xattrs(path, node);
	if (node->type == MODEL_FOLDER) {
		failures += compare_folder(traits, path, node);
	} else if (node->type == MODEL_LINK) {
		char target[PATH_MAX];
		ssize_t got = readlink(path, target, sizeof(target));

		if (got != (ssize_t)node->size || memcmp(target, node->bytes, node->size) != 0)
			failures += differs(path, "leads to %.*s", got < 0 ? 0 : (int)got, target);
	} else {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return failures + differs(path, "%s when opened", strerrorname_np(errno));
		failures += compare_content(path, fd, node);
		close(fd);
	}
	return failures;
}

int compare_tree(const struct compare_traits *traits, const struct model *model)
{
	return compare_node(traits, ".", model->root);
}
