/* SPDX-License-Identifier: MIT */
/*
 * Changes of the tree. When the connection breaks behind a request, what became of it is found out like this:
 *
 *   make a folder   asked again; when the name is taken now, nobody can say by whom: DW_REMOTE_UNKNOWN
 *   move            done, when the item is where it should be; else asked again
 *   remove          asked again; gone is gone
 *   copy            asked again; when the name is taken now by a file with the same SHA-1, that is the copy
 */
#include "remotes/box/box.h"

#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *collection_of(const char *real)
{
	return *real == 'f' ? "files" : *real == 'd' ? "folders" : "web_links";
}

static int tell(struct box *box, struct dw_remote_call *call, const struct box_answer *answer,
		const struct dw_remote_items *items)
{
	struct box_item item;
	int result = box_answer_item(box, call, answer, &item);

	return result ? result : items->item(items, &item.item);
}

/* The real ids of an item of this type and of a folder; either may be NULL. */
static int resolve(struct box *box, struct dw_remote_call *call, const char *id, enum dw_remote_type type, char *real,
		   const char *parent, char *real_parent)
{
	int result = id ? box_resolve(box, call, id, real) : 0;

	if (!result && id && box_id_type(real) != type)
		result = -ENOENT;
	if (!result && parent)
		result = box_resolve(box, call, parent, real_parent);
	if (!result && parent && *real_parent != 'd')
		result = -ENOENT;
	return result;
}

int box_mkdir(struct dw_remote *remote, struct dw_remote_call *call, const char *parent, const char *name,
	      const struct dw_remote_items *items)
{
	struct box *box = (struct box *)remote;
	struct http_backoff backoff = box_backoff(box, call);
	struct box_answer answer = {.status = 0};
	char real[BOX_NUMBER_MAX + 2];
	bool maybe = false;
	json_t *json = NULL;
	int result = box_check_name(remote, name);

	if (!result)
		result = resolve(box, call, NULL, 0, NULL, parent, real);
	if (result)
		return result;
	json = json_pack("{s:s, s:{s:s}}", "name", name, "parent", "id", real + 1);
	if (!json)
		return -EINVAL; /* no UTF-8 */
	do {
		box_answer_free(&answer);
		result = box_send(box, call,
				  &(struct box_request){.method = "POST",
							.kind = BOX_CHANGE,
							.path = "/folders?fields=" BOX_FIELDS_ITEM,
							.json = json},
				  &answer);
		if (result == -EEXIST && maybe)
			result = DW_REMOTE_UNKNOWN;
		else
			maybe = maybe || result == DW_REMOTE_UNKNOWN;
	} while (answer.status != 409 && box_again(&backoff, result));
	if (!result)
		result = tell(box, call, &answer, items);
	json_decref(json);
	box_answer_free(&answer);
	return result;
}

/* Whether the item has come to where it was to go; answer holds its texts. */
static bool arrived(struct box *box, struct dw_remote_call *call, const char *real, const char *parent,
		    const char *name, struct box_answer *answer)
{
	struct box_item item;

	box_answer_free(answer);
	return box_get_item(box, call, real, BOX_FIELDS_ITEM, answer, &item) == 0 && strcmp(item.parent, parent) == 0 &&
	       strcmp(item.item.name, name) == 0;
}

int box_move(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
	     const char *etag, const char *parent, const char *name, const struct dw_remote_items *items)
{
	struct box *box = (struct box *)remote;
	struct http_backoff backoff = box_backoff(box, call);
	struct box_answer answer = {.status = 0};
	char real[BOX_NUMBER_MAX + 2], real_parent[BOX_NUMBER_MAX + 2], *path = NULL;
	bool maybe = false, again;
	json_t *json = NULL;
	int result = box_check_name(remote, name);

	if (!result)
		result = resolve(box, call, id, type, real, parent, real_parent);
	if (result)
		return result;
	json = json_pack("{s:s, s:{s:s}}", "name", name, "parent", "id", real_parent + 1);
	path = box_path("/%s/%s?fields=" BOX_FIELDS_ITEM, collection_of(real), real + 1);
	result = !json ? -EINVAL : path ? 0 : -ENOMEM;
	if (result)
		goto out;
	do {
		again = false;
		if (maybe && arrived(box, call, real, parent, name, &answer)) {
			result = 0;
			break;
		}
		box_answer_free(&answer);
		result = box_send(box, call,
				  &(struct box_request){.method = "PUT",
							.kind = BOX_CHANGE,
							.path = path,
							.etag = etag,
							.json = json,
							.busy = type == DW_REMOTE_FOLDER},
				  &answer);
		maybe = maybe || result == DW_REMOTE_UNKNOWN;
		/* A move of a large folder goes on at Box after it has said 503. */
		if (answer.status == 503 || (maybe && result == DW_REMOTE_CHANGED)) {
			int refused = answer.status == 503 ? -EBUSY : result;
			bool held = answer.status == 503;

			result = arrived(box, call, real, parent, name, &answer) ? 0 : refused;
			again = result && held && backoff.attempts < 3 && http_backoff_wait(&backoff, 0) == 0;
			maybe = maybe || held;
		}
	} while (again || box_again(&backoff, result));
	if (!result)
		result = tell(box, call, &answer, items);
out:
	json_decref(json);
	free(path);
	box_answer_free(&answer);
	return result;
}

/* After a copy whose outcome is not known the name is taken: by the copy? answer: of the refusal, then the item. */
static int find_copy(struct box *box, struct dw_remote_call *call, const char *real, struct box_answer *answer)
{
	struct box_answer source = {.status = 0};
	struct box_item copied, original;
	char there[BOX_NUMBER_MAX + 2];
	int result = DW_REMOTE_UNKNOWN;

	if (*real == 'f' && box_conflict(answer->json, there) && *there == 'f') {
		box_answer_free(answer);
		if (box_get_item(box, call, there, BOX_FIELDS_ITEM, answer, &copied) == 0 &&
		    box_get_item(box, call, real, BOX_FIELDS_ITEM, &source, &original) == 0 &&
		    copied.item.digest_length && original.item.digest_length &&
		    memcmp(copied.item.digest, original.item.digest, original.item.digest_length) == 0)
			result = 0;
	}
	box_answer_free(&source);
	return result;
}

int box_copy(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
	     const char *parent, const char *name, const struct dw_remote_items *items)
{
	struct box *box = (struct box *)remote;
	struct http_backoff backoff = box_backoff(box, call);
	struct box_answer answer = {.status = 0};
	char real[BOX_NUMBER_MAX + 2], real_parent[BOX_NUMBER_MAX + 2], *path = NULL;
	bool maybe = false;
	json_t *json = NULL;
	int result = box_check_name(remote, name);

	if (!result)
		result = resolve(box, call, id, type, real, parent, real_parent);
	if (result)
		return result;
	json = json_pack("{s:s, s:{s:s}}", "name", name, "parent", "id", real_parent + 1);
	path = box_path("/%s/%s/copy?fields=" BOX_FIELDS_ITEM, collection_of(real), real + 1);
	result = !json ? -EINVAL : path ? 0 : -ENOMEM;
	if (result)
		goto out;
	do {
		box_answer_free(&answer);
		result = box_send(
			box, call,
			&(struct box_request){.method = "POST", .kind = BOX_CHANGE, .path = path, .json = json},
			&answer);
		if (maybe && result == -EEXIST) {
			result = find_copy(box, call, real, &answer);
			break;
		}
		maybe = maybe || result == DW_REMOTE_UNKNOWN;
	} while (box_again(&backoff, result));
	if (!result)
		result = tell(box, call, &answer, items);
out:
	json_decref(json);
	free(path);
	box_answer_free(&answer);
	return result;
}

int box_remove(struct dw_remote *remote, struct dw_remote_call *call, const char *id, enum dw_remote_type type,
	       const char *etag, bool recursive)
{
	struct box *box = (struct box *)remote;
	struct http_backoff backoff = box_backoff(box, call);
	char real[BOX_NUMBER_MAX + 2], *path;
	bool maybe = false;
	int result = resolve(box, call, id, type, real, NULL, NULL);

	if (result)
		return result;
	path = box_path("/%s/%s%s", collection_of(real), real + 1,
			type != DW_REMOTE_FOLDER ? ""
			: recursive		 ? "?recursive=true"
						 : "?recursive=false");
	if (!path)
		return -ENOMEM;
	do {
		struct box_answer answer;

		result = box_send(
			box, call,
			&(struct box_request){.method = "DELETE", .kind = BOX_CHANGE, .path = path, .etag = etag},
			&answer);
		box_answer_free(&answer);
		if (maybe && result == -ENOENT)
			result = 0;
		maybe = maybe || result == DW_REMOTE_UNKNOWN;
	} while (box_again(&backoff, result));
	free(path);
	return result;
}
