/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/builder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_MAX_BYTES 255u
#define NAME_KEPT      246u
#define PATH_MAX_BYTES (32u << 10)
#define DEPTH_MAX      512u
#define TARGET_MAX     4095u
#define RESOLVE_ROUNDS 40u

/* A growing table. */
struct table {
	char *items;
	size_t count;
	size_t room;
	size_t item_size;
};

/* A name in a folder, before it is known where it will stand. */
struct build_entry {
	uint32_t parent;
	uint32_t name;
	uint32_t node;
};

/* A hard link whose target was not there yet. */
struct build_link {
	uint32_t path;
	uint32_t target;
};

struct builder {
	struct table nodes;
	struct table entries;
	struct table extents;
	struct table sequence;
	struct table attributes;
	struct table names;
	struct table links;
	struct table texts; /* paths of the links */
	uint32_t *slots;    /* hash table of entries, by parent and name: number + 1, 0 is empty */
	size_t slot_count;  /* a power of two */
	struct index_node implied;
	uint64_t sequence_size;
	uint32_t left_out;
	uint32_t last_attributes; /* those that were added last, most often also those of the next member */
};

static int table_add(struct table *table, const void *items, size_t count, size_t *first)
{
	if (table->count + count > UINT32_MAX - 1)
		return -EFBIG;
	if (table->count + count > table->room) {
		size_t room = table->room + table->room / 2 + count + 64;
		char *grown = realloc(table->items, room * table->item_size);

		if (!grown)
			return -ENOMEM;
		table->items = grown;
		table->room = room;
	}
	memcpy(table->items + table->count * table->item_size, items, count * table->item_size);
	if (first)
		*first = table->count;
	table->count += count;
	return 0;
}

static struct index_node *builder_node(struct builder *builder, uint32_t number)
{
	return (struct index_node *)builder->nodes.items + number;
}

static struct build_entry *builder_entry(struct builder *builder, uint32_t number)
{
	return (struct build_entry *)builder->entries.items + number;
}

int builder_create(struct builder **out, const struct index_node *implied)
{
	struct builder *builder = calloc(1, sizeof(*builder));
	int error;

	if (!builder)
		return -ENOMEM;
	builder->nodes.item_size = sizeof(struct index_node);
	builder->entries.item_size = sizeof(struct build_entry);
	builder->extents.item_size = sizeof(struct index_extent);
	builder->sequence.item_size = sizeof(struct index_member);
	builder->attributes.item_size = sizeof(struct index_attribute);
	builder->names.item_size = 1;
	builder->links.item_size = sizeof(struct build_link);
	builder->texts.item_size = 1;
	builder->implied = *implied;
	builder->slot_count = 1024;
	builder->slots = calloc(builder->slot_count, sizeof(uint32_t));
	error = builder->slots ? table_add(&builder->nodes, implied, 1, NULL) : -ENOMEM;
	if (!error)
		error = table_add(&builder->names, "", 1, NULL);
	if (!error)
		error = table_add(&builder->attributes, &(struct index_attribute){0}, 1, NULL);
	if (error) {
		builder_destroy(builder);
		return error;
	}
	*out = builder;
	return 0;
}

void builder_destroy(struct builder *builder)
{
	if (!builder)
		return;
	free(builder->nodes.items);
	free(builder->entries.items);
	free(builder->extents.items);
	free(builder->sequence.items);
	free(builder->attributes.items);
	free(builder->names.items);
	free(builder->links.items);
	free(builder->texts.items);
	free(builder->slots);
	free(builder);
}

/* FNV-1a with a last mix, since the low bits choose the slot. */
static uint64_t name_hash(uint32_t parent, const char *name, size_t length)
{
	uint64_t hash = 0xcbf29ce484222325ull ^ ((uint64_t)parent * 0x9e3779b97f4a7c15ull);

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3ull;
	return hash ^ (hash >> 29);
}

/* The slot of a name, empty when it is not there. */
static uint32_t *builder_slot(struct builder *builder, uint32_t parent, const char *name, size_t length)
{
	size_t mask = builder->slot_count - 1;
	size_t at = name_hash(parent, name, length) & mask;

	for (; builder->slots[at]; at = (at + 1) & mask) {
		const struct build_entry *entry = builder_entry(builder, builder->slots[at] - 1);
		const char *other = builder->names.items + entry->name;

		if (entry->parent == parent && strncmp(other, name, length) == 0 && !other[length])
			break;
	}
	return &builder->slots[at];
}

static int builder_grow_slots(struct builder *builder)
{
	size_t old_count = builder->slot_count;
	uint32_t *old = builder->slots;
	uint32_t *grown;

	if (builder->entries.count * 4 < old_count * 3)
		return 0;
	grown = calloc(old_count * 2, sizeof(uint32_t));
	if (!grown)
		return -ENOMEM;
	builder->slots = grown;
	builder->slot_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		const struct build_entry *entry;
		const char *name;

		if (!old[i])
			continue;
		entry = builder_entry(builder, old[i] - 1);
		name = builder->names.items + entry->name;
		*builder_slot(builder, entry->parent, name, strlen(name)) = old[i];
	}
	free(old);
	return 0;
}

/* Make name in parent stand for node, which counts the name. The name is not there yet. */
static int builder_name(struct builder *builder, uint32_t parent, const char *name, size_t length, uint32_t node)
{
	struct build_entry entry = {.parent = parent, .node = node};
	size_t at, number;
	int error;

	error = builder_grow_slots(builder);
	if (!error)
		error = table_add(&builder->names, name, length, &at);
	if (!error)
		error = table_add(&builder->names, "", 1, NULL);
	if (error)
		return error;
	entry.name = (uint32_t)at;
	error = table_add(&builder->entries, &entry, 1, &number);
	if (error)
		return error;
	*builder_slot(builder, parent, name, length) = (uint32_t)number + 1;
	builder_node(builder, parent)->count++;
	builder_node(builder, node)->nlink++;
	return 0;
}

/* Where a component goes: the component as it will be shown. shown has room for 256 bytes. */
static size_t component_shown(const char *text, size_t length, char *shown)
{
	size_t kept = NAME_KEPT;

	if (length <= NAME_MAX_BYTES) {
		memcpy(shown, text, length);
		shown[length] = 0;
		return length;
	}
	while (kept > NAME_KEPT - 4 && ((unsigned char)text[kept] & 0xc0) == 0x80)
		kept--;
	memcpy(shown, text, kept);
	return kept + (size_t)snprintf(shown + kept, 10, "~%08x", (uint32_t)name_hash(0, text, length));
}

/* Next component of *path that counts, or length 0 at the end. */
static size_t component_next(const char **path, const char **text)
{
	for (;;) {
		size_t length;

		while (**path == '/')
			(*path)++;
		*text = *path;
		length = strcspn(*path, "/");
		*path += length;
		if (length == 1 && (*text)[0] == '.')
			continue;
		if (length == 2 && (*text)[0] == '.' && (*text)[1] == '.')
			continue;
		return length;
	}
}

static bool path_is_sane(const char *path)
{
	const char *text;
	size_t depth = 0;

	if (strlen(path) > PATH_MAX_BYTES)
		return false;
	while (component_next(&path, &text))
		depth++;
	return depth <= DEPTH_MAX;
}

/* Put a new folder or other node at an entry in place of what is there. */
static int builder_replace(struct builder *builder, uint32_t entry, const struct index_node *node, uint32_t *number)
{
	struct build_entry *at = builder_entry(builder, entry);
	struct index_node *old = builder_node(builder, at->node);
	size_t added;
	int error;

	if (old->nlink == 1) {
		*old = *node;
		old->nlink = 1;
		*number = at->node;
		return 0;
	}
	error = table_add(&builder->nodes, node, 1, &added);
	if (error)
		return error;
	builder_node(builder, at->node)->nlink--;
	builder_node(builder, (uint32_t)added)->nlink = 1;
	at->node = (uint32_t)added;
	*number = (uint32_t)added;
	return 0;
}

/* The folder that the path without its last component names, made where need be, and the last component. */
static int builder_walk(struct builder *builder, const char *path, bool make, uint32_t *folder, char *last,
			size_t *last_length)
{
	const char *text, *next_text;
	size_t length = component_next(&path, &text);
	int error;

	*folder = 0;
	*last_length = 0;
	while (length) {
		size_t next_length = component_next(&path, &next_text);
		uint32_t *slot;
		size_t added;

		*last_length = component_shown(text, length, last);
		if (!next_length)
			return 0;
		slot = builder_slot(builder, *folder, last, *last_length);
		if (*slot) {
			uint32_t entry = *slot - 1;
			uint32_t node = builder_entry(builder, entry)->node;

			if (!S_ISDIR(builder_node(builder, node)->mode)) {
				if (!make)
					return -ENOENT;
				error = builder_replace(builder, entry, &builder->implied, &node);
				if (error)
					return error;
				builder->left_out++;
			}
			*folder = node;
		} else {
			if (!make)
				return -ENOENT;
			error = table_add(&builder->nodes, &builder->implied, 1, &added);
			if (!error)
				error = builder_name(builder, *folder, last, *last_length, (uint32_t)added);
			if (error)
				return error;
			*folder = (uint32_t)added;
		}
		text = next_text;
		length = next_length;
	}
	return 0;
}

/* Take the attributes of node over into a folder that stays. */
static void builder_restyle(struct index_node *folder, const struct index_node *node)
{
	struct index_node old = *folder;

	*folder = *node;
	folder->first = old.first;
	folder->count = old.count;
	folder->nlink = old.nlink;
}

int builder_add(struct builder *builder, const char *path, const struct index_node *member, const char *target,
		uint32_t *number)
{
	struct index_node node = *member;
	char last[NAME_MAX_BYTES + 1];
	size_t length, at;
	uint32_t folder, made = INDEX_NONE;
	uint32_t *slot;
	int error = 0;

	if (number)
		*number = INDEX_NONE;
	if (!path_is_sane(path) || (target && strlen(target) > TARGET_MAX)) {
		builder->left_out++;
		return 0;
	}
	node.nlink = 0;
	if (S_ISDIR(node.mode))
		node.count = node.first = 0;
	if (S_ISLNK(node.mode)) {
		error = table_add(&builder->names, target ? target : "", strlen(target ? target : "") + 1, &at);
		node.place = at;
		node.size = target ? strlen(target) : 0;
	}
	if (!error)
		error = builder_walk(builder, path, true, &folder, last, &length);
	if (error)
		return error;

	if (!length) {
		if (S_ISDIR(node.mode)) {
			builder_restyle(builder_node(builder, 0), &node);
			made = 0;
		} else {
			builder->left_out++;
		}
	} else if (*(slot = builder_slot(builder, folder, last, length))) {
		uint32_t entry = *slot - 1;
		struct index_node *there = builder_node(builder, builder_entry(builder, entry)->node);

		if (S_ISDIR(there->mode) && S_ISDIR(node.mode)) {
			builder_restyle(there, &node);
			made = builder_entry(builder, entry)->node;
		} else if (S_ISDIR(there->mode) && there->count) {
			builder->left_out++;
		} else {
			error = builder_replace(builder, entry, &node, &made);
		}
	} else {
		error = table_add(&builder->nodes, &node, 1, &at);
		if (!error)
			error = builder_name(builder, folder, last, length, (uint32_t)at);
		made = (uint32_t)at;
	}
	if (!error && number)
		*number = made;
	return error;
}

/* Give content, which came with a hard link, to the node that all its names share. */
static void builder_fill(struct index_node *node, const struct index_node *content)
{
	node->size = content->size;
	node->place = content->place;
	node->first = content->first;
	node->count = content->count;
	node->check = content->check;
	node->content = content->content;
	node->flags = content->flags;
}

/* -ENOENT: the target is not there (yet). */
static int builder_try_link(struct builder *builder, const char *path, const char *target,
			    const struct index_node *content)
{
	char last[NAME_MAX_BYTES + 1];
	uint32_t folder, node, entry;
	uint32_t *slot;
	size_t length;
	int error;

	error = builder_walk(builder, target, false, &folder, last, &length);
	if (error)
		return error;
	slot = length ? builder_slot(builder, folder, last, length) : NULL;
	if (!slot || !*slot)
		return -ENOENT;
	node = builder_entry(builder, *slot - 1)->node;
	if (S_ISDIR(builder_node(builder, node)->mode))
		return -ENOENT;
	if (content && S_ISREG(builder_node(builder, node)->mode))
		builder_fill(builder_node(builder, node), content);

	/* A name below its own target would put a folder in the target's place: such a link is one to nothing. */
	error = builder_walk(builder, path, false, &folder, last, &length);
	if (error == -ENOENT) {
		uint32_t names = builder_node(builder, node)->nlink;

		error = builder_walk(builder, path, true, &folder, last, &length);
		if (!error &&
		    (builder_node(builder, node)->nlink != names || S_ISDIR(builder_node(builder, node)->mode)))
			return -ENOENT;
	}
	if (error || !length)
		return error ? error : -ENOENT;
	slot = builder_slot(builder, folder, last, length);
	if (!*slot)
		return builder_name(builder, folder, last, length, node);
	entry = *slot - 1;
	if (builder_entry(builder, entry)->node == node)
		return 0;
	if (S_ISDIR(builder_node(builder, builder_entry(builder, entry)->node)->mode) &&
	    builder_node(builder, builder_entry(builder, entry)->node)->count) {
		builder->left_out++;
		return 0;
	}
	builder_node(builder, builder_entry(builder, entry)->node)->nlink--;
	builder_entry(builder, entry)->node = node;
	builder_node(builder, node)->nlink++;
	return 0;
}

int builder_link(struct builder *builder, const char *path, const char *target, const struct index_node *content)
{
	struct build_link link;
	size_t at;
	int error;

	if (!path_is_sane(path) || !path_is_sane(target)) {
		builder->left_out++;
		return 0;
	}
	error = builder_try_link(builder, path, target, content);
	if (error != -ENOENT)
		return error;
	/* Its own content makes a file of a link whose target is missing. */
	if (content)
		return builder_add(builder, path, content, NULL, NULL);
	error = table_add(&builder->texts, path, strlen(path) + 1, &at);
	link.path = (uint32_t)at;
	if (!error)
		error = table_add(&builder->texts, target, strlen(target) + 1, &at);
	link.target = (uint32_t)at;
	return error ? error : table_add(&builder->links, &link, 1, NULL);
}

/* Links that came before their targets, and links to those. Chains longer than the number of rounds stay out. */
static int builder_resolve(struct builder *builder)
{
	size_t left = builder->links.count, before = left + 1;

	for (unsigned round = 0; left && left < before && round < RESOLVE_ROUNDS; round++) {
		struct build_link *links = (struct build_link *)builder->links.items;
		size_t kept = 0;

		before = left;
		for (size_t i = 0; i < left; i++) {
			int error = builder_try_link(builder, builder->texts.items + links[i].path,
						     builder->texts.items + links[i].target, NULL);

			if (error == -ENOENT)
				links[kept++] = links[i];
			else if (error)
				return error;
		}
		left = kept;
	}
	builder->left_out += (uint32_t)left;
	return 0;
}

int builder_extents(struct builder *builder, const struct index_extent *extents, uint32_t count, uint64_t *first)
{
	size_t at = builder->extents.count;
	int error = count ? table_add(&builder->extents, extents, count, &at) : 0;

	*first = at;
	return error;
}

static struct index_attribute *builder_attribute(struct builder *builder, uint32_t number)
{
	return (struct index_attribute *)(void *)builder->attributes.items + number;
}

static bool builder_same_attributes(struct builder *builder, const struct builder_attribute *list, uint32_t count)
{
	const struct index_attribute *last = builder_attribute(builder, builder->last_attributes);

	for (uint32_t i = 0; i < count; i++) {
		if (!last[i].name || last[i].size != list[i].size ||
		    strcmp(builder->names.items + last[i].name, list[i].name) != 0 ||
		    memcmp(builder->names.items + last[i].value, list[i].value, list[i].size) != 0)
			return false;
	}
	return !last[count].name;
}

int builder_attributes(struct builder *builder, const struct builder_attribute *list, uint32_t count,
		       struct index_node *node)
{
	size_t first = builder->attributes.count;
	int error = 0;

	node->attributes = 0;
	if (!count)
		return 0;
	if (builder_same_attributes(builder, list, count)) {
		node->attributes = builder->last_attributes;
		return 0;
	}
	for (uint32_t i = 0; i <= count && !error; i++) {
		struct index_attribute attribute = {0};
		size_t name, value;

		if (i < count) {
			error = table_add(&builder->names, list[i].name, strlen(list[i].name) + 1, &name);
			if (!error)
				error = table_add(&builder->names, list[i].value, list[i].size, &value);
			if (!error)
				error = table_add(&builder->names, "", 1, NULL); /* names end with a NUL */
			if (error)
				return error;
			attribute = (struct index_attribute){(uint32_t)name, (uint32_t)value, list[i].size};
		}
		error = table_add(&builder->attributes, &attribute, 1, NULL);
	}
	node->attributes = builder->last_attributes = (uint32_t)first;
	return error;
}

int builder_sequence(struct builder *builder, uint32_t ordinal, struct index_node *node)
{
	struct index_member member = {.place = builder->sequence_size, .size = node->size, .ordinal = ordinal};
	size_t at;
	int error;

	if (node->size > INT64_MAX - builder->sequence_size)
		return -EFBIG;
	error = table_add(&builder->sequence, &member, 1, &at);
	if (error)
		return error;
	builder->sequence_size += node->size;
	node->content = CONTENT_SEQUENCE;
	node->place = member.place;
	node->first = (uint32_t)at;
	return 0;
}

static int entry_order(const void *a, const void *b, void *names)
{
	const struct index_entry *first = a, *second = b;

	return strcmp((const char *)names + first->name, (const char *)names + second->name);
}

/* Group the entries by folder, sort each folder, and count the links of folders. */
static void builder_sort(struct builder *builder, struct index_node *nodes, struct index_entry *entries,
			 const char *names)
{
	uint32_t next = 0;

	for (size_t i = 0; i < builder->nodes.count; i++) {
		if (!S_ISDIR(nodes[i].mode))
			continue;
		nodes[i].nlink = 2;
		nodes[i].first = next;
		next += nodes[i].count;
		nodes[i].count = 0;
	}
	for (size_t i = 0; i < builder->entries.count; i++) {
		const struct build_entry *entry = builder_entry(builder, (uint32_t)i);
		struct index_node *folder = &nodes[entry->parent];

		entries[folder->first + folder->count++] = (struct index_entry){.name = entry->name,
										.node = entry->node};
		if (S_ISDIR(nodes[entry->node].mode))
			folder->nlink++;
	}
	for (size_t i = 0; i < builder->nodes.count; i++) {
		if (S_ISDIR(nodes[i].mode) && nodes[i].count > 1)
			qsort_r(entries + nodes[i].first, nodes[i].count, sizeof(*entries), entry_order,
				(void *)(uintptr_t)names);
	}
}

static void *copy_table(void *to, const struct table *table)
{
	if (table->count)
		memcpy(to, table->items, table->count * table->item_size);
	return (char *)to + table->count * table->item_size;
}

int builder_finish(struct builder *builder, const struct index_head *given, struct index *out)
{
	struct index_head *head;
	struct index_node *nodes;
	struct index_entry *entries;
	size_t size;
	char *at;
	int error;

	error = builder_resolve(builder);
	if (error)
		return error;

	struct index_head sized = *given;
	sized.magic = INDEX_MAGIC;
	sized.version = INDEX_VERSION;
	sized.head_size = sizeof(sized);
	sized.node_count = (uint32_t)builder->nodes.count;
	sized.entry_count = (uint32_t)builder->entries.count;
	sized.extent_count = (uint32_t)builder->extents.count;
	sized.sequence_count = (uint32_t)builder->sequence.count;
	sized.attribute_count = (uint32_t)builder->attributes.count;
	sized.names_size = (uint32_t)builder->names.count;
	sized.left_out = builder->left_out;
	sized.encrypted = 0;
	sized.content_size = 0;
	size = index_block_size(&sized);
	sized.total_size = size;

	head = malloc(size);
	if (!head)
		return -ENOMEM;
	nodes = (struct index_node *)(head + 1);
	entries = copy_table(nodes, &builder->nodes);
	at = (char *)(entries + sized.entry_count);
	at = copy_table(at, &builder->extents);
	at = copy_table(at, &builder->sequence);
	at = copy_table(at, &builder->attributes);
	copy_table(at, &builder->names);
	builder_sort(builder, nodes, entries, at);
	for (uint32_t i = 0; i < sized.node_count; i++) {
		if (!nodes[i].nlink || !S_ISREG(nodes[i].mode))
			continue;
		sized.content_size += nodes[i].size;
		sized.encrypted += (nodes[i].flags & NODE_ENCRYPTED) != 0;
	}
	*head = sized;
	index_seal(head);
	error = index_adopt(out, head, size);
	if (error)
		free(head);
	return error;
}
