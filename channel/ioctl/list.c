/* SPDX-License-Identifier: MIT */
/*
 * list.c - LIST
 *
 * A folder but the root begins with "." and "..", then come the file system's entries in its order. A marker is the
 * offset of the file system behind an entry, but for three that no file system gives out. A pattern without wildcards
 * is one lookup instead of a listing: that is what most programs ask.
 *
 * The file system calls back with its own locks held, so entries are first gathered, some dozens at a time, and then
 * made into the answer's: that asks for attributes and links. Lookups that the listing counted are given back.
 */
#include <stdlib.h>
#include <string.h>

#include "channel/ioctl/pattern.h"
#include "channel/ioctl/volume_internal.h"

#define MARK_DOT     UINT64_MAX
#define MARK_DOT_DOT (UINT64_MAX - 1) /* behind it comes offset 0 of the file system */
#define MARK_END     (UINT64_MAX - 2)
#define GATHER	     64u

struct gathered {
	uint64_t next;
	struct dw_entry entry;
	char name[NAME_BYTES + 1];
};

struct list {
	struct dw_listing base; /* first */
	struct call *call;
	struct file *file;
	char *path; /* the folder's; NULL: not known */
	uint16_t pattern[PATTERN_MAX];
	size_t pattern_length; /* 0: every name */
	uint32_t used;	       /* of the answer */
	bool full;
	uint64_t offset;
	bool any; /* the file system gave something */
	size_t count;
	size_t unwanted_count;
	struct gathered gathered[GATHER];
	uint64_t unwanted[GATHER]; /* nodes that were counted and do not match */
};

static bool is_wanted(const struct list *list, const uint16_t *name, size_t units)
{
	return !list->pattern_length || pattern_matches(list->pattern, list->pattern_length, name, units);
}

/* One entry into the answer; list->full is set when it does not fit. */
static void put(struct list *list, const uint16_t *name, size_t units, uint64_t next, const struct fs_file *file)
{
	struct call *call = list->call;
	uint32_t size = (uint32_t)(sizeof(struct fs_entry) + ((2 * units + 7) & ~(size_t)7));
	struct fs_entry entry = {.size = size, .name_length = (uint32_t)(2 * units), .next = next, .file = *file};

	if (size > call->in.u.list.room - list->used) {
		list->full = true;
		return;
	}
	memcpy(call->data + list->used, &entry, sizeof(entry));
	memset(call->data + list->used + size - 8, 0, 8);
	memcpy(call->data + list->used + sizeof(entry), name, 2 * units);
	list->used += size;
	if (call->in.u.list.flags & FS_LIST_ONE)
		list->full = true;
}

/* Where a link of the folder leads is asked by its path. */
static void fill(struct list *list, const char *name, uint64_t node, const struct dw_attr *attr, struct fs_file *file)
{
	char *path = NULL;

	if (attributes_tag(attr->mode) && list->path) {
		size_t length = strlen(list->path), size = length + strlen(name) + 2;

		path = malloc(size);
		if (path) {
			memcpy(path, list->path, length);
			if (length)
				path[length++] = '/';
			memcpy(path + length, name, strlen(name) + 1);
		}
	}
	call_fill_file(list->call, node, attr, path, file);
	free(path);
}

static void put_named(struct list *list, const char *name, uint64_t next, const struct dw_entry *entry)
{
	uint16_t units[NAME_UNITS];
	struct fs_file file;

	fill(list, name, entry->node, &entry->attr, &file);
	put(list, units, name_to_windows(name, strlen(name), units), next, &file);
}

/* --- "." and ".." --- */

/* The folder above, by the path; the folder itself where that is not known. */
static int attr_above(struct list *list, uint64_t *node, struct dw_attr *attr)
{
	struct call *call = list->call;
	struct place place;
	char *slash;
	int error;

	*node = list->file->kept->node;
	error = call_getattr(call, *node, DW_NO_HANDLE, attr);
	if (error || !list->path)
		return error;
	slash = strrchr(list->path, '/');
	if (!slash) {
		*node = DW_NODE_ROOT;
		return call_getattr(call, DW_NODE_ROOT, DW_NO_HANDLE, attr);
	}
	*slash = '\0';
	if (!walk_resolved(call, list->path, WALK_CASE_SENSITIVE, &place)) {
		if (place.found) {
			*node = place.entry.node;
			*attr = place.entry.attr;
		}
		place_release(call, &place);
	}
	*slash = '/';
	return 0;
}

static int put_dots(struct list *list, uint64_t marker)
{
	static const uint16_t dots[] = {'.', '.'};
	struct call *call = list->call;
	struct fs_file file;
	struct dw_attr attr;
	uint64_t node;
	int error;

	if (marker == 0 && is_wanted(list, dots, 1)) {
		error = call_getattr(call, list->file->kept->node, DW_NO_HANDLE, &attr);
		if (error)
			return error;
		call_fill_file(call, list->file->kept->node, &attr, NULL, &file);
		put(list, dots, 1, MARK_DOT, &file);
	}
	if (!list->full && is_wanted(list, dots, 2)) {
		error = attr_above(list, &node, &attr);
		if (error)
			return error;
		call_fill_file(call, node, &attr, NULL, &file);
		put(list, dots, 2, MARK_DOT_DOT, &file);
	}
	return 0;
}

/* --- The file system's entries --- */

static bool gather(struct dw_listing *base, const char *name, size_t length, uint64_t next,
		   const struct dw_entry *entry)
{
	struct list *list = (struct list *)base;
	struct gathered *to = &list->gathered[list->count];
	uint16_t units[NAME_UNITS];

	if (list->count == GATHER || list->unwanted_count == GATHER)
		return false;
	list->any = true;
	list->offset = next;
	if (length == 0 || length > NAME_BYTES || (length <= 2 && !memcmp(name, "..", length)) || next >= MARK_END)
		return true;
	if (!is_wanted(list, units, name_to_windows(name, length, units))) {
		if (entry->node)
			list->unwanted[list->unwanted_count++] = entry->node;
		return true;
	}
	to->next = next;
	to->entry = *entry;
	memcpy(to->name, name, length);
	to->name[length] = '\0';
	list->count++;
	return true;
}

/* What was gathered becomes the answer's; what is behind the first that does not fit is dropped, and comes again. */
static void put_gathered(struct list *list)
{
	struct call *call = list->call;

	for (size_t i = 0; i < list->unwanted_count; i++)
		call_forget(call, list->unwanted[i]);
	list->unwanted_count = 0;
	for (size_t i = 0; i < list->count; i++) {
		struct gathered *gathered = &list->gathered[i];
		bool there = gathered->entry.node != 0;

		if (!list->full) {
			if (!there)
				there = !call_lookup(call, list->file->kept->node, gathered->name, &gathered->entry);
			if (there)
				put_named(list, gathered->name, gathered->next, &gathered->entry);
		}
		if (there)
			call_forget(call, gathered->entry.node);
	}
	list->count = 0;
}

static int put_entries(struct list *list, uint64_t offset)
{
	struct call *call = list->call;
	struct volume *volume = call->volume;
	int error = 0;

	list->offset = offset;
	do {
		list->any = false;
		error = volume->ops.readdir(volume->fs, call_step(call), list->file->kept->node,
					    list->file->kept->handle, list->offset, &list->base);
		put_gathered(list);
	} while (!error && list->any && !list->full);
	return error;
}

/* --- One name --- */

/* A pattern that only one file can have; false when it has to be listed all the same. */
static bool put_one(struct list *list, int *error)
{
	struct call *call = list->call;
	struct fs_text pattern = call->in.u.list.pattern;
	const uint16_t *text = call_text(call, pattern);
	char name[NAME_BYTES + 1];
	struct dw_entry entry;

	if (!list->pattern_length || !pattern_is_name(text, pattern.length / 2) ||
	    (text[0] == '.' && (pattern.length == 2 || (pattern.length == 4 && text[1] == '.'))))
		return false;
	*error = 0;
	if (call->in.u.list.marker || !name_from_windows(text, pattern.length / 2, name))
		return true;
	*error = walk_find(call, list->file->kept->node, list->file->kept->generation, 0, name, &entry);
	if (!*error) {
		put_named(list, name, MARK_END, &entry);
		call_forget(call, entry.node);
	} else if (*error == -ENOENT) {
		*error = 0;
	}
	return true;
}

/* --- LIST --- */

static int list_from(struct list *list, uint64_t marker)
{
	int error = 0;

	if (put_one(list, &error) || marker == MARK_END)
		return error;
	if ((marker == 0 || marker == MARK_DOT) && list->file->kept->node != DW_NODE_ROOT)
		error = put_dots(list, marker);
	if (error || list->full)
		return error;
	return put_entries(list, marker == MARK_DOT || marker == MARK_DOT_DOT ? 0 : marker);
}

int32_t request_list(struct call *call, struct file *file)
{
	const struct fs_list *in = &call->in.u.list;
	const uint16_t *pattern = call_text(call, in->pattern);
	struct list *list;
	int32_t status;

	if (!(file->kept->flags & FILE_KEPT_FOLDER))
		return STATUS_INVALID_PARAMETER;
	if (file->kept->handle == DW_NO_HANDLE)
		return STATUS_ACCESS_DENIED;
	if (in->pattern.length / 2 > PATTERN_MAX)
		return STATUS_OBJECT_NAME_INVALID;
	list = malloc(sizeof(*list));
	if (!list)
		return STATUS_INSUFFICIENT_RESOURCES;
	memset(list, 0, offsetof(struct list, gathered));
	list->base = (struct dw_listing){.attributes = true, .add = gather};
	list->call = call;
	list->file = file;
	list->path = files_path(&call->volume->files, file);
	list->pattern_length = in->pattern.length / 2;
	for (size_t i = 0; i < list->pattern_length; i++)
		list->pattern[i] = name_fold(pattern[i]);
	status = status_of(list_from(list, in->marker));
	call->out->data = list->used;
	if (!status && !list->used) {
		if (list->full)
			status = STATUS_BUFFER_TOO_SMALL;
		else
			status = in->marker ? STATUS_NO_MORE_FILES : STATUS_NO_SUCH_FILE;
	}
	free(list->path);
	free(list);
	return status;
}
