/* SPDX-License-Identifier: MIT */
#include "cache/items.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t size_of(const char *text)
{
	return text ? strlen(text) + 1 : 1;
}

static const char *put_text(char **to, const char *text)
{
	size_t size = size_of(text);
	char *place = *to;

	memcpy(place, text ? text : "", size);
	*to += size;
	return place;
}

static int copy_item(struct kept_item *out, const struct dw_remote_item *item)
{
	size_t size = size_of(item->id) + size_of(item->parent) + size_of(item->name) + size_of(item->etag) +
		      size_of(item->content);
	char *to;

	for (size_t i = 0; i < item->property_count; i++)
		size += size_of(item->properties[i].key) + size_of(item->properties[i].value);
	out->item = *item;
	out->texts = malloc(size);
	out->properties = item->property_count ? calloc(item->property_count, sizeof(out->properties[0])) : NULL;
	if (!out->texts || (item->property_count && !out->properties)) {
		free(out->texts);
		free(out->properties);
		return -ENOMEM;
	}
	to = out->texts;
	out->item.id = put_text(&to, item->id);
	out->item.parent = put_text(&to, item->parent);
	out->item.name = put_text(&to, item->name);
	out->item.etag = put_text(&to, item->etag);
	out->item.content = put_text(&to, item->content);
	for (size_t i = 0; i < item->property_count; i++) {
		out->properties[i].key = put_text(&to, item->properties[i].key);
		out->properties[i].value = put_text(&to, item->properties[i].value);
	}
	out->item.properties = out->properties;
	return 0;
}

int items_add(struct items *items, enum dw_remote_event_type event, const struct dw_remote_item *item)
{
	static const struct dw_remote_item none = {.size = sizeof(none)};
	int ret;

	if (items->count == items->room) {
		size_t room = items->room ? items->room * 2 : 64;
		struct kept_item *list = reallocarray(items->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		items->list = list;
		items->room = room;
	}
	items->list[items->count] = (struct kept_item){.event = event};
	ret = copy_item(&items->list[items->count], item ? item : &none);
	if (!ret)
		items->count++;
	return ret;
}

void items_clear(struct items *items)
{
	for (size_t i = 0; i < items->count; i++) {
		free(items->list[i].texts);
		free(items->list[i].properties);
		free(items->list[i].known);
		free(items->list[i].told);
	}
	free(items->list);
	*items = (struct items){0};
}

int items_take(const struct dw_remote_items *to, const struct dw_remote_item *item)
{
	return items_add(to->context, DW_REMOTE_EVENT_CHANGED, item);
}

int items_take_event(const struct dw_remote_events *to, enum dw_remote_event_type type,
		     const struct dw_remote_item *item)
{
	return items_add(to->context, type, type == DW_REMOTE_EVENT_LOST ? NULL : item);
}
