/* SPDX-License-Identifier: MIT */
/*
 * walk.c - from a path to a node
 *
 * A walk holds a stack: the folders from the root down to where it is, each with one lookup, so that ".." in a link's
 * target has somewhere to go. What is still to be gone stands in one text; a link's target is put in front of it.
 * At the end the last two nodes become the place's, and the others are given back.
 */
#include <stdlib.h>
#include <string.h>

#include "channel/ioctl/volume_internal.h"

#define LINKS_MAX 40u
#define REST_MAX  (1u << 20) /* bytes still to be gone */

struct level {
	uint64_t node;
	uint64_t generation;
	size_t path_length; /* of the path that leads here */
};

struct walk {
	struct call *call;
	unsigned flags;
	struct level *level;
	size_t depth; /* levels; the first is the root */
	size_t room;
	char *path; /* of the last level */
	size_t path_room;
	char *rest; /* still to be gone, from at on */
	size_t at;
	unsigned links;
	bool fresh; /* entry is the last level's */
	struct dw_entry entry;
};

/* --- The stack --- */

static struct level *top(struct walk *walk)
{
	return &walk->level[walk->depth - 1];
}

/* The path with one name more; NULL: no memory. */
static char *path_with(struct walk *walk, const char *name, size_t *length)
{
	size_t before = top(walk)->path_length, size = strlen(name);

	if (before + size + 2 > walk->path_room) {
		size_t room = (before + size + 2) * 2;
		char *path = realloc(walk->path, room);

		if (!path)
			return NULL;
		walk->path = path;
		walk->path_room = room;
	}
	if (before)
		walk->path[before++] = '/';
	memcpy(walk->path + before, name, size + 1);
	*length = before + size;
	return walk->path;
}

static int push(struct walk *walk, const char *name, const struct dw_entry *entry)
{
	size_t length;

	if (walk->depth == walk->room) {
		size_t room = walk->room * 2;
		struct level *level = realloc(walk->level, room * sizeof(*level));

		if (!level)
			return -ENOMEM;
		walk->level = level;
		walk->room = room;
	}
	if (!path_with(walk, name, &length))
		return -ENOMEM;
	walk->level[walk->depth++] = (struct level){
		.node = entry->node, .generation = entry->generation, .path_length = length};
	walk->entry = *entry;
	walk->fresh = true;
	return 0;
}

static void pop(struct walk *walk)
{
	if (walk->depth == 1)
		return;
	call_forget(walk->call, top(walk)->node);
	walk->depth--;
	walk->path[top(walk)->path_length] = '\0';
	walk->fresh = false;
}

static int walk_begin(struct walk *walk, struct call *call, unsigned flags)
{
	memset(walk, 0, sizeof(*walk));
	walk->call = call;
	walk->flags = flags;
	walk->room = 16;
	walk->path_room = 256;
	walk->level = malloc(walk->room * sizeof(*walk->level));
	walk->path = calloc(1, walk->path_room);
	if (!walk->level || !walk->path)
		return -ENOMEM;
	walk->level[0] = (struct level){.node = DW_NODE_ROOT};
	walk->depth = 1;
	return 0;
}

static void walk_end(struct walk *walk)
{
	while (walk->depth > 1)
		call_forget(walk->call, walk->level[--walk->depth].node);
	free(walk->level);
	free(walk->path);
	free(walk->rest);
}

/* --- Names --- */

/* The next name of what is still to be gone; false at its end. last: nothing comes behind it. */
static bool next_name(struct walk *walk, char **name, bool *last)
{
	char *begin = walk->rest + walk->at, *end;

	while (*begin == '/')
		begin++;
	if (!*begin)
		return false;
	end = begin + strcspn(begin, "/");
	walk->at = (size_t)(end - walk->rest) + (*end ? 1 : 0);
	*last = walk->rest[walk->at + strspn(walk->rest + walk->at, "/")] == '\0';
	*end = '\0';
	*name = begin;
	return true;
}

int walk_find(struct call *call, uint64_t parent, uint64_t generation, unsigned flags, char name[NAME_BYTES + 1],
	      struct dw_entry *out)
{
	int error = call_lookup(call, parent, name, out);

	/* A name that was remembered and is gone: once more, by a new listing. */
	for (int i = 0; error == -ENOENT && i < 2 && !(flags & WALK_CASE_SENSITIVE); i++) {
		char actual[NAME_BYTES + 1];
		int listed = folds_find(call, parent, generation, name, actual);

		if (listed)
			return listed;
		error = call_lookup(call, parent, actual, out);
		if (!error)
			memcpy(name, actual, strlen(actual) + 1);
		else
			folds_drop(&call->volume->folds, parent);
	}
	return error;
}

/* Put a link's target in front of what is still to be gone. */
static int follow(struct walk *walk, const char *target)
{
	size_t length = strlen(target), left = strlen(walk->rest + walk->at);
	char *rest;

	if (++walk->links > LINKS_MAX)
		return -ELOOP;
	if (length + left + 2 > REST_MAX)
		return -ENAMETOOLONG;
	rest = malloc(length + left + 2);
	if (!rest)
		return -ENOMEM;
	memcpy(rest, target, length);
	rest[length] = '/';
	memcpy(rest + length + 1, walk->rest + walk->at, left + 1);
	free(walk->rest);
	walk->rest = rest;
	walk->at = 0;
	while (target[0] == '/' && walk->depth > 1)
		pop(walk);
	return 0;
}

/* A link that leads away: the answer that makes the system go on there. */
static int32_t answer_reparse(struct walk *walk, const char *target)
{
	struct call *call = walk->call;
	uint16_t units[NAME_UNITS];
	uint64_t left = 0;

	if (call->in.type != FS_CREATE || !(call->in.u.create.flags & FS_OPEN_REPARSE))
		return STATUS_REPARSE_POINT_NOT_RESOLVED;

	for (char *name = walk->rest + walk->at; *name; name += strspn(name, "/")) {
		size_t length = strcspn(name, "/");

		left += 2 + 2 * name_to_windows(name, length, units);
		name += length;
	}
	call->out->data = reparse_build(target, strlen(target), call->data, call->room);
	if (!call->out->data)
		return STATUS_REPARSE_POINT_NOT_RESOLVED;
	call->out->information = left;
	return STATUS_REPARSE;
}

/* --- The walk --- */

/* One name on; *done: it was the last and is missing. */
static int32_t go(struct walk *walk, const char *text, bool last, char name[NAME_BYTES + 1], bool *missing)
{
	struct dw_entry entry;
	uint32_t type;
	int error;

	if (strlen(text) > NAME_BYTES)
		return STATUS_OBJECT_NAME_INVALID;
	memcpy(name, text, strlen(text) + 1);
	error = walk_find(walk->call, top(walk)->node, top(walk)->generation, walk->flags, name, &entry);
	if (error == -ENOENT && last) {
		*missing = true;
		return STATUS_SUCCESS;
	}
	if (error == -ENOENT || error == -ENOTDIR)
		return STATUS_OBJECT_PATH_NOT_FOUND;
	if (error)
		return status_of(error);
	type = entry.attr.mode & DW_MODE_TYPE;
	if (type == DW_MODE_LINK && (!last || (walk->flags & WALK_FOLLOW))) {
		char target[4096];
		int32_t status;

		error = call_readlink(walk->call, entry.node, target);
		if (error)
			status = status_of(error);
		else if (reparse_leads_away(target))
			status = answer_reparse(walk, target);
		else
			status = status_of(follow(walk, target));
		call_forget(walk->call, entry.node);
		return status;
	}
	if (type != DW_MODE_FOLDER && !last) {
		call_forget(walk->call, entry.node);
		return STATUS_OBJECT_PATH_NOT_FOUND;
	}
	error = push(walk, name, &entry);
	if (error)
		call_forget(walk->call, entry.node);
	return status_of(error);
}

/* The last level becomes the place, or the folder of a name that is missing. */
static int32_t arrive(struct walk *walk, bool missing, const char *name, struct place *out)
{
	size_t length;

	if (missing) {
		if (!path_with(walk, name, &length))
			return STATUS_INSUFFICIENT_RESOURCES;
		out->parent = top(walk)->node;
		out->parent_generation = top(walk)->generation;
		memcpy(out->name, name, strlen(name) + 1);
		if (walk->depth > 1)
			walk->depth--;
	} else {
		if (!walk->fresh) {
			int error = call_getattr(walk->call, top(walk)->node, DW_NO_HANDLE, &walk->entry.attr);

			if (error)
				return status_of(error);
			walk->entry.node = top(walk)->node;
			walk->entry.generation = top(walk)->generation;
		}
		out->found = true;
		out->entry = walk->entry;
		if (walk->depth > 1) {
			const char *slash = strrchr(walk->path, '/'), *last = slash ? slash + 1 : walk->path;

			memcpy(out->name, last, strlen(last) + 1);
			out->parent = walk->level[walk->depth - 2].node;
			out->parent_generation = walk->level[walk->depth - 2].generation;
			walk->depth -= walk->depth > 2 ? 2 : 1;
		}
	}
	out->path = walk->path;
	walk->path = NULL;
	return STATUS_SUCCESS;
}

/* walk->rest is there. */
static int32_t run(struct walk *walk, struct place *out)
{
	char name[NAME_BYTES + 1], *text;
	bool missing = false, last;
	int32_t status = STATUS_SUCCESS;

	while (!status && !missing && next_name(walk, &text, &last)) {
		if (!strcmp(text, ".."))
			pop(walk);
		else if (strcmp(text, ".") != 0)
			status = go(walk, text, last, name, &missing);
	}
	return status ? status : arrive(walk, missing, name, out);
}

/* The path of a request, as bytes; '/' between names. */
static int32_t convert(struct call *call, struct fs_text path, char **out, bool *ends_open)
{
	const uint16_t *text = call_text(call, path);
	size_t units = path.length / 2, length = 0;
	char *rest;

	if (units == 0 || text[0] != '\\')
		return STATUS_OBJECT_NAME_INVALID;
	*ends_open = units > 1 && text[units - 1] == '\\';
	if (*ends_open && --units == 1)
		return STATUS_OBJECT_NAME_INVALID;
	/* A unit is at most three bytes, two are at most four. */
	rest = malloc(units * 3 + NAME_BYTES + 2);
	if (!rest)
		return STATUS_INSUFFICIENT_RESOURCES;
	for (size_t at = 1, end; at < units; at = end + 1) {
		for (end = at; end < units && text[end] != '\\'; end++)
			continue;
		if (length)
			rest[length++] = '/';
		if (!name_from_windows(text + at, end - at, rest + length) || end + 1 == units) {
			free(rest);
			return STATUS_OBJECT_NAME_INVALID;
		}
		length += strlen(rest + length);
	}
	rest[length] = '\0';
	*out = rest;
	return STATUS_SUCCESS;
}

int32_t walk(struct call *call, struct fs_text path, unsigned flags, struct place *out)
{
	struct walk walk;
	int32_t status;

	memset(out, 0, sizeof(*out));
	status = status_of(walk_begin(&walk, call, flags));
	if (!status)
		status = convert(call, path, &walk.rest, &out->ends_open);
	if (!status)
		status = run(&walk, out);
	walk_end(&walk);
	return status;
}

int32_t walk_resolved(struct call *call, const char *path, unsigned flags, struct place *out)
{
	struct walk walk;
	int32_t status;

	memset(out, 0, sizeof(*out));
	status = status_of(walk_begin(&walk, call, flags));
	if (!status)
		walk.rest = strdup(path);
	if (!status && !walk.rest)
		status = STATUS_INSUFFICIENT_RESOURCES;
	if (!status)
		status = run(&walk, out);
	walk_end(&walk);
	return status;
}

void place_release(struct call *call, struct place *place)
{
	call_forget(call, place->parent);
	if (place->found)
		call_forget(call, place->entry.node);
	free(place->path);
	place->path = NULL;
}

bool walk_leads_to_folder(struct call *call, const char *path)
{
	struct fs_response *out = call->out, unused = {.size = sizeof(unused)};
	uint32_t room = call->room;
	struct place place;
	bool is_folder;
	int32_t status;

	/* What a link that leads away answers is not wanted here, nor what is in the buffer to be lost. */
	call->out = &unused;
	call->room = 0;
	status = walk_resolved(call, path, WALK_FOLLOW | WALK_CASE_SENSITIVE, &place);
	call->out = out;
	call->room = room;
	if (status)
		return false;
	is_folder = place.found && (place.entry.attr.mode & DW_MODE_TYPE) == DW_MODE_FOLDER;
	place_release(call, &place);
	return is_folder;
}
