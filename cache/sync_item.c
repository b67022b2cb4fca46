/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/sync_internal.h"

/* Copies text to *to, which moves on, and answers where it is now. */
static const char *move_text(char **to, const char *text)
{
	size_t size = strlen(text ? text : "") + 1;
	char *place = *to;

	memcpy(place, text ? text : "", size);
	*to += size;
	return place;
}

static size_t text_size(const char *text)
{
	return strlen(text ? text : "") + 1;
}

int sync_item_take(const struct dw_remote_items *items, const struct dw_remote_item *item)
{
	struct sync_item *copy = items->context;
	size_t size = text_size(item->id) + text_size(item->parent) + text_size(item->name) + text_size(item->etag) +
		      text_size(item->content);
	char *to;

	sync_item_free(copy);
	for (size_t i = 0; i < item->property_count; i++)
		size += text_size(item->properties[i].key) + text_size(item->properties[i].value);
	copy->texts = malloc(size);
	copy->properties = calloc(item->property_count + 1, sizeof(*copy->properties));
	if (!copy->texts || !copy->properties) {
		sync_item_free(copy);
		return -ENOMEM;
	}
	to = copy->texts;
	copy->item = *item;
	copy->item.id = move_text(&to, item->id);
	copy->item.parent = move_text(&to, item->parent);
	copy->item.name = move_text(&to, item->name);
	copy->item.etag = move_text(&to, item->etag);
	copy->item.content = move_text(&to, item->content);
	for (size_t i = 0; i < item->property_count; i++) {
		copy->properties[i].key = move_text(&to, item->properties[i].key);
		copy->properties[i].value = move_text(&to, item->properties[i].value);
	}
	copy->item.properties = copy->properties;
	copy->there = true;
	return 0;
}

void sync_item_free(struct sync_item *copy)
{
	free(copy->texts);
	free(copy->properties);
	memset(copy, 0, sizeof(*copy));
}

struct search {
	struct cache *cache;
	char wanted[1024];
	size_t wanted_length;
	struct sync_item *out;
};

static int compare_item(const struct dw_remote_items *items, const struct dw_remote_item *item)
{
	struct search *search = items->context;
	struct dw_remote_items take = {.context = search->out};
	char folded[1024];
	size_t length;

	if (search->out->there || strlen(item->name) >= NODE_NAME_SIZE)
		return 0;
	length = nodes_fold(search->cache, item->name, folded);
	if (length != search->wanted_length || memcmp(folded, search->wanted, length) != 0)
		return 0;
	return sync_item_take(&take, item);
}

int sync_item_find(struct cache *cache, struct dw_remote_call *call, const char *folder, const char *name,
		   struct sync_item *out)
{
	struct search search = {.cache = cache, .out = out};
	struct dw_remote_items items = {.item = compare_item, .context = &search};
	char cursor[DW_REMOTE_CURSOR_MAX + 1] = "";
	int ret;

	search.wanted_length = nodes_fold(cache, name, search.wanted);
	do {
		ret = cache->remote->ops->list(cache->remote, call, folder, cursor, &items);
		if (ret)
			return ret;
	} while (!out->there && cursor[0]);
	return out->there ? 0 : -ENOENT;
}
