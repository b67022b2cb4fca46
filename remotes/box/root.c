/* SPDX-License-Identifier: MIT */
/*
 * The root of the drive, where it is a folder inside the account.
 *
 * "box:/Projects/X" is opened without the network, so its root gets a made-up id, "r" and a hash of the path, which the
 * cache keeps for ever. The first call that needs the folder finds it by its path, and its real id is kept in the state
 * folder, so that the drive follows the folder when it is renamed. When that folder is gone, the path counts again.
 */
#include "remotes/box/box.h"

#include "remotes/box/json.h"
#include "support/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void state_name(const struct box *box, char *out, size_t size)
{
	text_format(out, size, "root-%s", box->root + 1);
}

static const json_t *find_entry(const json_t *entries, const char *name, bool exactly)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(entries, i, entry)
	{
		const char *other = box_json_text(entry, "name");

		if (other && (exactly ? strcmp(other, name) : strcasecmp(other, name)) == 0)
			return entry;
	}
	return NULL;
}

/* The folder called name in the folder real, which becomes the one that was found. */
static int descend(struct box *box, struct dw_remote_call *call, char real[BOX_NUMBER_MAX + 2], const char *name)
{
	char marker[DW_REMOTE_CURSOR_MAX + 1] = "", inexact[BOX_NUMBER_MAX] = "";
	int result;

	do {
		char *escaped = http_escape(marker);
		char *path = escaped ? box_path("/folders/%s/items?fields=type,id,name&usemarker=true&limit=1000%s%s",
						real + 1, *marker ? "&marker=" : "", escaped)
				     : NULL;
		struct box_answer answer = {.status = 0};
		const json_t *entries, *entry;

		result = path ? box_send(box, call, &(struct box_request){.method = "GET", .path = path}, &answer)
			      : -ENOMEM;
		free(path);
		free(escaped);
		entries = json_object_get(answer.json, "entries");
		entry = result ? NULL : find_entry(entries, name, true);
		if (entry) {
			const char *type = box_json_text(entry, "type");

			if (!type || strcmp(type, "folder") != 0)
				result = -ENOTDIR;
			else if (!box_json_copy(entry, "id", real + 1, BOX_NUMBER_MAX) || !box_number_valid(real + 1))
				result = -EPROTO;
			box_answer_free(&answer);
			return result;
		}
		entry = result ? NULL : find_entry(entries, name, false);
		if (entry)
			box_json_copy(entry, "id", inexact, sizeof(inexact));
		if (!result && !box_json_copy(answer.json, "next_marker", marker, sizeof(marker)))
			marker[0] = 0;
		box_answer_free(&answer);
	} while (!result && *marker);
	if (result)
		return result;
	if (!box_number_valid(inexact))
		return -ENOENT;
	text_copy(real + 1, BOX_NUMBER_MAX, inexact);
	return 0;
}

static int walk(struct box *box, struct dw_remote_call *call, char real[BOX_NUMBER_MAX + 2])
{
	char *path = text_duplicate(box->root_path), *rest = path, *name;
	int result = path ? 0 : -ENOMEM;

	text_copy(real, BOX_NUMBER_MAX + 2, "d0");
	while (!result && (name = strsep(&rest, "/"))) {
		if (!*name)
			continue;
		result = descend(box, call, real, name);
		if (result == -ENOENT || result == -ENOTDIR)
			box_say(call, "there is no folder %s in this Box account", box->root_path);
	}
	free(path);
	return result;
}

static int know_root(struct box *box, struct dw_remote_call *call, char real[BOX_NUMBER_MAX + 2])
{
	char name[BOX_NUMBER_MAX + 8];
	int result;

	pthread_mutex_lock(&box->root_lock);
	text_copy(real, BOX_NUMBER_MAX + 2, box->root_real);
	pthread_mutex_unlock(&box->root_lock);
	if (*real)
		return 0;
	result = walk(box, call, real);
	if (result)
		return result;
	state_name(box, name, sizeof(name));
	box_store_put_text(&box->store, name, real); /* a drive that cannot keep it looks for it again */
	pthread_mutex_lock(&box->root_lock);
	text_copy(box->root_real, sizeof(box->root_real), real);
	pthread_mutex_unlock(&box->root_lock);
	return 0;
}

int box_resolve(struct box *box, struct dw_remote_call *call, const char *id, char real[BOX_NUMBER_MAX + 2])
{
	if (box->root_path && strcmp(id, box->root) == 0)
		return know_root(box, call, real);
	if (!box_id_type(id)) {
		box_say(call, "that is no id of a Box item");
		return -ENOENT;
	}
	text_copy(real, BOX_NUMBER_MAX + 2, id);
	return 0;
}

void box_alias(struct box *box, struct box_alias *alias, char real[BOX_NUMBER_MAX + 2])
{
	pthread_mutex_lock(&box->root_lock);
	text_copy(real, BOX_NUMBER_MAX + 2, box->root_path ? box->root_real : "");
	pthread_mutex_unlock(&box->root_lock);
	*alias = (struct box_alias){.real = real, .shown = box->root};
}

void box_forget_root(struct box *box, const char *id)
{
	char name[BOX_NUMBER_MAX + 8];

	if (!box->root_path || strcmp(id, box->root) != 0)
		return;
	pthread_mutex_lock(&box->root_lock);
	box->root_real[0] = 0;
	pthread_mutex_unlock(&box->root_lock);
	state_name(box, name, sizeof(name));
	box_store_drop_text(&box->store, name);
}
