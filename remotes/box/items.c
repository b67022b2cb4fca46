/* SPDX-License-Identifier: MIT */
/* Looking: one item, a folder's page, the quota. */
#include "remotes/box/box.h"

#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE "1000"

static const char *collection_of(const char *real)
{
	return *real == 'f' ? "files" : *real == 'd' ? "folders" : "web_links";
}

int box_get_item(struct box *box, struct dw_remote_call *call, const char *real, const char *fields,
		 struct box_answer *answer, struct box_item *out)
{
	char *path = box_path("/%s/%s?fields=%s", collection_of(real), real + 1, fields);
	int result = -ENOMEM;

	*answer = (struct box_answer){.status = 0};
	if (path)
		result = box_send(box, call, &(struct box_request){.method = "GET", .path = path}, answer);
	free(path);
	if (!result)
		result = box_answer_item(box, call, answer, out);
	if (!result && out->trashed) {
		text_copy(answer->code, sizeof(answer->code), BOX_TRASHED);
		result = -ENOENT;
	}
	return result;
}

int box_answer_item(struct box *box, struct dw_remote_call *call, const struct box_answer *answer, struct box_item *out)
{
	const json_t *entries = json_object_get(answer->json, "entries");
	const json_t *json = json_is_array(entries) ? json_array_get(entries, 0) : answer->json;
	char real[BOX_NUMBER_MAX + 2];
	struct box_alias alias;
	int result;

	box_alias(box, &alias, real);
	result = box_item_read(out, json, NULL, &alias);
	if (result)
		box_say(call, "Box's answer makes no sense");
	return result;
}

int box_find(struct box *box, struct dw_remote_call *call, const char *folder, const char *name, uint64_t bytes,
	     char out[BOX_NUMBER_MAX + 2])
{
	json_t *json = json_pack("{s:s, s:I, s:{s:s}}", "name", name, "size", (json_int_t)bytes, "parent", "id",
				 folder + 1);
	struct box_answer answer = {.status = 0};
	int result = json ? box_send(box, call,
				     &(struct box_request){.method = "OPTIONS", .path = "/files/content", .json = json},
				     &answer)
			  : -EINVAL;

	if (!result)
		result = -ENOENT;
	else if (result == -EEXIST && box_conflict(answer.json, out))
		result = 0;
	json_decref(json);
	box_answer_free(&answer);
	return result;
}

/* The properties where the item came without them. answer holds their texts. */
static int get_properties(struct box *box, struct dw_remote_call *call, const char *real, struct box_answer *answer,
			  struct box_item *item)
{
	char *path = box_path("/%s/%s/metadata/global/properties", collection_of(real), real + 1);
	int result = path ? box_send(box, call, &(struct box_request){.method = "GET", .path = path}, answer) : -ENOMEM;

	free(path);
	if (!result || result == -ENOENT)
		box_item_properties(item, result ? NULL : answer->json);
	return result == -ENOENT ? 0 : result;
}

int box_stat(struct dw_remote *remote, struct dw_remote_call *call, const char *id, const struct dw_remote_items *items)
{
	struct box *box = (struct box *)remote;
	struct box_answer answer = {.status = 0}, more = {.status = 0};
	char real[BOX_NUMBER_MAX + 2];
	struct box_item item;
	int result = box_resolve(box, call, id, real);

	if (result)
		return result;
	result = box_get_item(box, call, real, BOX_FIELDS_ITEM, &answer, &item);
	if (result == -ENOENT)
		box_forget_root(box, id);
	if (result == -ENOENT && strcmp(answer.code, BOX_TRASHED) == 0)
		result = DW_REMOTE_TRASHED;
	if (!result && !item.item.properties_known && *real != 'w')
		result = get_properties(box, call, real, &more, &item);
	if (!result)
		result = items->item(items, &item.item);
	box_answer_free(&answer);
	box_answer_free(&more);
	return result;
}

static int tell_page(struct box *box, const char *folder, const json_t *entries, const struct dw_remote_items *items)
{
	char real[BOX_NUMBER_MAX + 2];
	struct box_alias alias;
	struct box_item item;
	const json_t *entry;
	int result = 0;
	size_t i;

	box_alias(box, &alias, real);
	json_array_foreach(entries, i, entry)
	{
		/* What is no item is no reason to hide the others. */
		if (box_item_read(&item, entry, folder, &alias) || item.trashed)
			continue;
		result = items->item(items, &item.item);
		if (result)
			break;
	}
	return result;
}

int box_list(struct dw_remote *remote, struct dw_remote_call *call, const char *folder, char *cursor,
	     const struct dw_remote_items *items)
{
	struct box *box = (struct box *)remote;
	struct box_answer answer = {.status = 0};
	char real[BOX_NUMBER_MAX + 2], next[DW_REMOTE_CURSOR_MAX + 1] = "";
	char *marker = NULL, *path = NULL;
	const json_t *entries;
	int result = box_resolve(box, call, folder, real);

	if (result)
		return result;
	if (*real != 'd')
		return -ENOTDIR;
	marker = http_escape(cursor);
	if (marker)
		path = box_path("/folders/%s/items?fields=" BOX_FIELDS_LIST "&usemarker=true&limit=" PAGE "%s%s",
				real + 1, *marker ? "&marker=" : "", marker);
	result = path ? box_send(box, call, &(struct box_request){.method = "GET", .path = path}, &answer) : -ENOMEM;
	free(path);
	free(marker);
	if (*cursor && answer.status == 400)
		result = DW_REMOTE_EXPIRED;
	if (result == -ENOENT)
		box_forget_root(box, folder);
	entries = json_object_get(answer.json, "entries");
	if (!result && !json_is_array(entries)) {
		box_say(call, "Box's answer makes no sense");
		result = -EPROTO;
	}
	if (!result && json_is_string(json_object_get(answer.json, "next_marker")) &&
	    !box_json_copy(answer.json, "next_marker", next, sizeof(next)))
		result = -EPROTO;
	/* A server that answers with the position that it was asked for would be asked for ever. */
	if (!result && *next && strcmp(next, cursor) == 0)
		result = -EPROTO;
	if (!result)
		result = tell_page(box, folder, entries, items);
	if (!result)
		text_copy(cursor, DW_REMOTE_CURSOR_MAX + 1, next);
	box_answer_free(&answer);
	return result;
}

int box_quota(struct dw_remote *remote, struct dw_remote_call *call, struct dw_remote_quota *out)
{
	struct box *box = (struct box *)remote;
	struct box_answer answer = {.status = 0};
	uint64_t total = UINT64_MAX, used = 0;
	int result = box_send(
		box, call,
		&(struct box_request){.method = "GET", .path = "/users/me?fields=type,id,space_amount,space_used"},
		&answer);

	if (!result && !box_json_number(answer.json, "space_used", &used)) {
		box_say(call, "Box's answer makes no sense");
		result = -EPROTO;
	}
	if (!result) {
		box_json_number(answer.json, "space_amount", &total); /* where it is not said, there is no limit */
		*out = (struct dw_remote_quota){.total = total, .used = used};
	}
	box_answer_free(&answer);
	return result;
}
