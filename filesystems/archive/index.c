/* SPDX-License-Identifier: MIT */
#include "filesystems/archive/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

size_t index_block_size(const struct index_head *head)
{
	return sizeof(*head) + (size_t)head->node_count * sizeof(struct index_node) +
	       (size_t)head->entry_count * sizeof(struct index_entry) +
	       (size_t)head->extent_count * sizeof(struct index_extent) +
	       (size_t)head->sequence_count * sizeof(struct index_member) +
	       (size_t)head->attribute_count * sizeof(struct index_attribute) + head->names_size;
}

static uint32_t index_checksum(const void *bytes, size_t size)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, size);
}

static uint32_t index_head_checksum(const struct index_head *head)
{
	struct index_head copy = *head;

	copy.head_checksum = 0;
	return index_checksum(&copy, sizeof(copy));
}

void index_seal(void *block)
{
	struct index_head *head = block;

	head->checksum = index_checksum(head + 1, (size_t)head->total_size - sizeof(*head));
	head->head_checksum = index_head_checksum(head);
}

static void index_lay_out(struct index *index, void *block)
{
	index->head = block;
	index->nodes = (const struct index_node *)(index->head + 1);
	index->entries = (const struct index_entry *)(index->nodes + index->head->node_count);
	index->extents = (const struct index_extent *)(index->entries + index->head->entry_count);
	index->sequence = (const struct index_member *)(index->extents + index->head->extent_count);
	index->attributes = (const struct index_attribute *)(index->sequence + index->head->sequence_count);
	index->names = (const char *)(index->attributes + index->head->attribute_count);
}

static bool node_is_sound(const struct index *index, const struct index_node *node)
{
	const struct index_head *head = index->head;

	if (node->attributes >= head->attribute_count)
		return false;
	if (S_ISDIR(node->mode))
		return node->first <= head->entry_count && node->count <= head->entry_count - node->first;
	if (S_ISLNK(node->mode))
		return node->place < head->names_size;
	if (node->content == CONTENT_EXTENTS)
		return node->place <= head->extent_count && node->count <= head->extent_count - node->place;
	if (node->content == CONTENT_SEQUENCE)
		return node->first < head->sequence_count;
	return node->content <= CONTENT_ZISOFS;
}

static bool attributes_are_sound(const struct index *index)
{
	const struct index_head *head = index->head;

	for (uint32_t i = 0; i < head->attribute_count; i++) {
		const struct index_attribute *attribute = &index->attributes[i];

		if (attribute->name >= head->names_size || attribute->value > head->names_size ||
		    attribute->size > head->names_size - attribute->value)
			return false;
	}
	return !index->attributes[0].name && !index->attributes[head->attribute_count - 1].name;
}

int index_adopt(struct index *index, void *block, size_t size)
{
	const struct index_head *head = block;

	if (size < sizeof(*head) || head->magic != INDEX_MAGIC || head->version != INDEX_VERSION ||
	    head->head_size != sizeof(*head) || head->total_size != size ||
	    index_head_checksum(head) != head->head_checksum || index_block_size(head) != size || !head->node_count ||
	    !head->attribute_count || !head->names_size ||
	    index_checksum(head + 1, size - sizeof(*head)) != head->checksum)
		return -EINVAL;

	index_lay_out(index, block);
	if (index->names[head->names_size - 1] || !S_ISDIR(index->nodes[0].mode) || !attributes_are_sound(index))
		return -EINVAL;
	for (uint32_t i = 0; i < head->node_count; i++) {
		if (!node_is_sound(index, &index->nodes[i]))
			return -EINVAL;
	}
	for (uint32_t i = 0; i < head->entry_count; i++) {
		if (index->entries[i].node >= head->node_count || index->entries[i].name >= head->names_size)
			return -EINVAL;
	}
	return 0;
}

void index_free(struct index *index)
{
	free(index->head);
	memset(index, 0, sizeof(*index));
}

uint32_t index_find(const struct index *index, uint32_t folder, const char *name)
{
	const struct index_node *node = &index->nodes[folder];
	uint32_t low = node->first, high = node->first + node->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = strcmp(name, index_name(index, middle));

		if (order == 0)
			return middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return INDEX_NONE;
}

bool index_same_archive(const struct index_identity *a, const struct index_identity *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}
