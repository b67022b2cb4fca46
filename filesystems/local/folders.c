/* SPDX-License-Identifier: MIT */
/*
 * folders.c - how a node is reached on the host
 *
 * Descriptors of folders are kept in a cache of bounded size. A descriptor stays right when its folder is
 * renamed, by us or behind our back. The cache is a clock: an entry that was used since the hand last
 * came by is spared once. Who uses a descriptor holds a reference of it, so it may leave the cache at any time.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "local.h"

static void folder_goes(struct table *table, struct node *node)
{
	struct local *local = (struct local *)((char *)table - offsetof(struct local, table));
	struct opened *opened = node->folder;

	local->slots[node->slot].node = 0;
	node->folder = NULL;
	table_put_later(table, opened);
}

int folders_open(struct local *local, uint32_t count)
{
	local->slots = calloc(count, sizeof(*local->slots));
	if (local->slots == NULL)
		return -ENOMEM;
	local->slot_count = count;
	local->table.folder_goes = folder_goes;
	return 0;
}

void folders_close(struct local *local)
{
	for (uint32_t i = 0; i < local->slot_count; i++) {
		if (local->slots[i].node != 0)
			opened_put(table_node_at(&local->table, local->slots[i].node)->folder);
	}
	free(local->slots);
}

int local_statx(int fd, const char *name, struct statx *out)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name[0] == '\0' ? AT_EMPTY_PATH : 0);

	return statx(fd, name, flags, LOCAL_STATX, out) == 0 ? 0 : -errno;
}

/* The cached descriptor of node, with a reference; NULL for none. Under the lock. */
static struct opened *cached(struct local *local, struct node *node)
{
	if (node->id == DW_NODE_ROOT)
		return opened_get(local->root);
	if (node->epoch != local->table.epoch || node->folder == NULL)
		return NULL;
	local->slots[node->slot].used = true;
	return opened_get(node->folder);
}

void folder_keep(struct local *local, uint64_t id, struct opened *opened)
{
	table_lock(&local->table);
	struct node *node = table_node(&local->table, id);
	if (node == NULL || id == DW_NODE_ROOT || (node->epoch == local->table.epoch && node->folder != NULL)) {
		table_unlock(&local->table);
		return;
	}
	struct folder_slot *slot;
	for (;;) {
		slot = &local->slots[local->slot_hand];
		local->slot_hand = (local->slot_hand + 1) % local->slot_count;
		if (slot->node == 0 || !slot->used)
			break;
		slot->used = false;
	}
	if (slot->node != 0) {
		struct node *old = table_node_at(&local->table, slot->node);

		table_put_later(&local->table, old->folder);
		old->folder = NULL;
	}
	slot->node = table_ref(&local->table, node);
	slot->used = true;
	node->epoch = local->table.epoch;
	node->slot = (uint32_t)(slot - local->slots);
	node->folder = opened_get(opened);
	table_unlock(&local->table);
}

/* Where a search through a node's names stands. */
struct search {
	unsigned attempt;
	unsigned passes;
	uint32_t changes; /* of names, when the pass began */
};

/* All names were tried. Names that came or went meanwhile may have hidden the right one: begin again? Under the lock.
 */
static bool search_again(const struct local *local, struct search *search)
{
	if (search->changes == local->table.name_changes || ++search->passes >= LOCAL_PASSES)
		return false;
	search->attempt = 0;
	search->changes = local->table.name_changes;
	return true;
}

/*
 * The attempt-th known name of node id: the folder's id and the text. Under the lock.
 */
static bool known_name(struct local *local, const struct node *node, unsigned attempt, uint64_t *folder, char *text)
{
	arena_ref ref = node->names;

	while (ref != 0 && attempt-- > 0)
		ref = table_name_at(&local->table, ref)->other;
	if (ref == 0)
		return false;
	const struct name *name = table_name_at(&local->table, ref);
	*folder = table_node_at(&local->table, name->folder)->id;
	memcpy(text, name->text, name->length);
	text[name->length] = '\0';
	return true;
}

static int get_folder(struct local *local, uint64_t id, unsigned depth, struct opened **out);

/* Open the node by one of its names; the lock is not held. */
static int open_by_name(struct local *local, uint64_t id, int flags, unsigned depth, struct opened **out,
			struct statx *stx)
{
	struct statx own;
	int result = -ESTALE;

	if (stx == NULL)
		stx = &own;
	for (struct search search = {0};; search.attempt++) {
		struct identity identity;
		struct identity found;
		struct opened *folder;
		uint64_t parent;
		char text[NAME_MAX + 1];

		table_lock(&local->table);
		struct node *node = table_node(&local->table, id);
		if (search.attempt == 0 && search.passes == 0)
			search.changes = local->table.name_changes;
		bool known = node != NULL && known_name(local, node, search.attempt, &parent, text);
		if (!known && node != NULL && search_again(local, &search))
			known = known_name(local, node, search.attempt, &parent, text);
		if (known)
			identity = node->identity;
		table_unlock(&local->table);
		if (!known)
			return result;
		if (get_folder(local, parent, depth + 1, &folder) != 0)
			continue;
		int fd = openat(folder->fd, text, flags | O_NOFOLLOW | O_CLOEXEC);
		int err = fd < 0 ? -errno : local_statx(fd, "", stx);
		opened_put(folder);
		if (fd < 0) {
			/* These say that something else stands there by now. */
			if (err != -ENOENT && err != -ENOTDIR && err != -ELOOP && err != -ENXIO && err != -EISDIR)
				result = err;
			continue;
		}
		if (err == 0) {
			identity_of(stx, &found);
			if (identity_equal(&found, &identity)) {
				*out = opened_make(fd, (uint32_t)flags);
				return *out == NULL ? -ENOMEM : 0;
			}
		}
		close(fd);
	}
}

static int get_folder(struct local *local, uint64_t id, unsigned depth, struct opened **out)
{
	table_lock(&local->table);
	struct node *node = table_node(&local->table, id);
	int err = 0;
	*out = NULL;
	if (node == NULL)
		err = -ESTALE;
	else if (node->identity.type != DW_MODE_FOLDER)
		err = -ENOTDIR;
	else
		*out = cached(local, node);
	table_unlock(&local->table);
	if (err != 0 || *out != NULL)
		return err;
	if (depth > LOCAL_DEPTH)
		return -ENAMETOOLONG;
	err = open_by_name(local, id, O_PATH | O_DIRECTORY, depth, out, NULL);
	if (err == 0)
		folder_keep(local, id, *out);
	return err;
}

int folder_get(struct local *local, uint64_t id, struct opened **out)
{
	return get_folder(local, id, 0, out);
}

/* A descriptor of the node that this process has open. Under the lock. */
static struct opened *open_already(struct local *local, struct node *node, uint64_t handle)
{
	struct handle *known = handle == DW_NO_HANDLE ? NULL : table_handle(&local->table, handle);

	if (known != NULL && table_opened(&local->table, known) != NULL)
		return opened_get(known->opened);
	for (arena_ref ref = node->handles; ref != 0; ref = known->next) {
		known = table_handle_at(&local->table, ref);
		if (table_opened(&local->table, known) != NULL)
			return opened_get(known->opened);
	}
	return cached(local, node);
}

/* A file without a name that an earlier process had open. */
static struct opened *open_kept(struct local *local, uint64_t id)
{
	int fd;

	if (local->host->kept_fd_get(local->host, id, &fd) != 0)
		return NULL;
	return opened_make(fd, (uint32_t)fcntl(fd, F_GETFL));
}

int node_place(struct local *local, uint64_t id, uint64_t handle, struct place *out, struct statx *stx)
{
	int result = -ESTALE;

	out->at = NULL;
	for (struct search search = {0};; search.attempt++) {
		uint64_t parent = 0;
		int err = 0;

		out->name[0] = '\0';
		table_lock(&local->table);
		struct node *node = table_node(&local->table, id);
		if (node == NULL) {
			table_unlock(&local->table);
			return -ESTALE;
		}
		out->identity = node->identity;
		out->at = open_already(local, node, handle);
		bool kept = node->kept;
		bool known = out->at != NULL;
		if (search.attempt == 0 && search.passes == 0)
			search.changes = local->table.name_changes;
		if (!known &&
		    (known_name(local, node, search.attempt, &parent, out->name) ||
		     (search_again(local, &search) && known_name(local, node, search.attempt, &parent, out->name)))) {
			known = true;
			struct node *folder = table_node(&local->table, parent);
			if (folder != NULL)
				out->at = cached(local, folder);
		}
		table_unlock(&local->table);
		if (!known) {
			out->at = kept ? open_kept(local, id) : NULL;
			if (out->at == NULL)
				return result;
		}
		if (out->at == NULL)
			err = folder_get(local, parent, &out->at);
		if (err != 0) {
			result = err;
			continue;
		}
		if (stx == NULL)
			return 0;
		err = local_statx(out->at->fd, out->name, stx);
		if (err == 0) {
			struct identity found;

			identity_of(stx, &found);
			if (out->name[0] == '\0' || identity_equal(&found, &out->identity))
				return 0;
			err = -ESTALE;
		}
		opened_put(out->at);
		out->at = NULL;
		if (out->name[0] == '\0' || (err != -ESTALE && err != -ENOENT && err != -ENOTDIR))
			return err;
	}
}

static int open_root_anew(struct local *local, int flags, struct opened **out, struct statx *stx)
{
	int fd = openat(local->root->fd, ".", flags | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	if (err == 0 && stx != NULL)
		err = local_statx(fd, "", stx);
	if (err == 0) {
		*out = opened_make(fd, (uint32_t)flags);
		return *out == NULL ? -ENOMEM : 0;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

int node_open(struct local *local, uint64_t id, uint64_t handle, int flags, struct opened **out, struct statx *stx)
{
	if (id == DW_NODE_ROOT && !(flags & O_PATH))
		return open_root_anew(local, flags, out, stx);
	table_lock(&local->table);
	struct node *node = table_node(&local->table, id);
	bool kept = node != NULL && node->kept;
	bool orphan = node != NULL && node->names == 0;
	*out = node != NULL && (flags & O_PATH) ? open_already(local, node, handle) : NULL;
	table_unlock(&local->table);
	if (node == NULL)
		return -ESTALE;
	if (*out == NULL) {
		int err = orphan ? -ESTALE : open_by_name(local, id, flags, 0, out, stx);

		if (err == 0)
			return 0;
		*out = kept ? open_kept(local, id) : NULL;
		if (*out == NULL)
			return err;
	}
	int err = stx != NULL ? local_statx((*out)->fd, "", stx) : 0;
	if (err != 0) {
		opened_put(*out);
		*out = NULL;
	}
	return err;
}
