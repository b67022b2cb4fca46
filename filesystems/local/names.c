/* SPDX-License-Identifier: MIT */
/*
 * names.c - finding, removing and moving names
 *
 * Exactly once. The kernel holds the folder's lock from before it sends one of these requests until it
 * has the answer, so no other request of the drive touches the names involved in between; only
 * somebody at work behind the drive's back could. Each operation notes NOTE_ACTING just before the host is
 * asked. A replayed request that finds NOTE_ACTING looks at the host:
 *
 *   unlink,    the table usually knows the victim's inode, else the host is asked; it was noted.
 *   rmdir      name absent: took effect, the answer is 0. Present with the noted inode (or none was noted): it did
 *              not; done now. Present with another inode: the victim is gone and something new stands there: 0.
 *   rename     the inodes of source and target were noted.
 *              Target leads to the noted source, and the source name is absent or (EXCHANGE) leads to the
 *              noted target: took effect. Otherwise it did not; done now.
 *              Source and target one file: the host does nothing, so doing it twice is the same.
 *   link       the new name leads to the node, and the table did not know it as such before: took effect.
 *
 * The table is changed after the host, by a transaction with the request's notes (table.h): once that is
 * committed, the answer is known without a look at the host.
 *
 *   lookup     a count that was committed stays with the node in the notes; if the name still leads to
 *              it that is the answer, else the count is given back and the name is looked up anew.
 *   forget     works in parts when the list is long; the notes say how far it came.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "local.h"

#define FORGET_ROOM (256u * 1024u) /* log space that one item may take at the very most */

static int name_check(const char *name)
{
	size_t length = strlen(name);

	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	if (length == 0 || memchr(name, '/', length) != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	return 0;
}

struct node *entry_enter(struct local *local, uint64_t parent, const char *name, const struct statx *stx,
			 struct dw_entry *out, int *err)
{
	struct table *table = &local->table;
	struct identity identity;
	struct node *folder = table_node(table, parent);

	if (folder == NULL) {
		*err = -ESTALE;
		return NULL;
	}
	identity_of(stx, &identity);
	struct node *node = table_enter(table, &identity);
	if (node == NULL) {
		*err = -ENOMEM;
		return NULL;
	}
	if (node->id == DW_NODE_ROOT) {
		/* The mirrored folder, mounted somewhere below itself: a loop. */
		*err = -ELOOP;
		return NULL;
	}
	table_count(table, node, 1);
	if (name[0] != '\0' && !table_set_name(table, node, folder, name, strlen(name))) {
		*err = -ENOMEM;
		return NULL;
	}
	node->links = stx->stx_nlink;
	out->node = node->id;
	out->generation = 0;
	out->entry_timeout = DW_TIMEOUT_DEFAULT;
	out->attr_timeout = DW_TIMEOUT_DEFAULT;
	attr_of(stx, &out->attr);
	*err = 0;
	return node;
}

int entry_found(struct local *local, const struct dw_request *req, uint64_t parent, const char *name,
		const struct statx *stx, struct dw_entry *out)
{
	int err;

	table_lock(&local->table);
	table_begin(&local->table);
	struct node *node = entry_enter(local, parent, name, stx, out, &err);
	if (node == NULL) {
		table_rollback(&local->table);
	} else {
		req->notes->word[NOTE_NODE] = node->id;
		table_commit(&local->table, req->notes);
	}
	table_unlock(&local->table);
	return err;
}

/* The count of this request was committed by an earlier process. Its node is the answer if it is the file stx. */
static bool found_before(struct local *local, const struct dw_request *req, const struct statx *stx,
			 struct dw_entry *out)
{
	struct identity identity;
	bool same = false;

	if (!(req->flags & DW_REQUEST_REPLAYED) || !table_noted(&local->table, req->notes))
		return false;
	identity_of(stx, &identity);
	table_lock(&local->table);
	struct node *node = table_node(&local->table, req->notes->word[NOTE_NODE]);
	if (node != NULL && identity_equal(&node->identity, &identity)) {
		same = true;
		*out = (struct dw_entry){
			.node = node->id, .entry_timeout = DW_TIMEOUT_DEFAULT, .attr_timeout = DW_TIMEOUT_DEFAULT};
		attr_of(stx, &out->attr);
	} else if (node != NULL) {
		table_begin(&local->table);
		table_forget(&local->table, node, 1);
		table_commit(&local->table, NULL);
	}
	table_unlock(&local->table);
	return same;
}

void name_identity(struct local *local, uint64_t parent, const char *name, uint64_t *ino, uint64_t *device)
{
	*ino = 0;
	*device = 0;
	table_lock(&local->table);
	struct node *folder = table_node(&local->table, parent);
	struct name *known = folder != NULL ? table_name(&local->table, folder, name, strlen(name)) : NULL;
	if (known != NULL) {
		struct node *node = table_node_at(&local->table, known->node);

		*ino = node->identity.ino;
		*device = node->identity.device;
	}
	table_unlock(&local->table);
}

/*
 * With name gone, node is without names on the host, as far as can be told: its inode number may come again. The link
 * count is what was seen last; a name more that is known outweighs it.
 */
static bool is_last_name(const struct node *node, const struct name *name, const struct table *table)
{
	if (node->identity.type == DW_MODE_FOLDER)
		return true;
	return node->links <= 1 && node->names == table_ref(table, name) && name->other == 0;
}

void name_gone(struct local *local, uint64_t parent, const char *name, struct dw_notes *notes)
{
	table_lock(&local->table);
	struct node *folder = table_node(&local->table, parent);
	struct name *known = folder != NULL ? table_name(&local->table, folder, name, strlen(name)) : NULL;
	if (known != NULL) {
		struct node *node = table_node_at(&local->table, known->node);

		table_begin(&local->table);
		if (is_last_name(node, known, &local->table))
			table_unhash(&local->table, node);
		else if (node->links > 0)
			node->links--;
		table_drop_name(&local->table, known);
		table_commit(&local->table, notes);
	}
	table_unlock(&local->table);
}

/* The table believes that a name is there, and it is not. */
static void name_missing(struct local *local, uint64_t parent, const char *name)
{
	table_lock(&local->table);
	struct node *folder = table_node(&local->table, parent);
	struct name *known = folder != NULL ? table_name(&local->table, folder, name, strlen(name)) : NULL;
	if (known != NULL) {
		table_begin(&local->table);
		table_drop_name(&local->table, known);
		table_commit(&local->table, NULL);
	}
	table_unlock(&local->table);
}

int local_lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 struct dw_entry *out)
{
	struct local *local = local_of(fs);
	struct opened *folder;
	struct statx stx;
	int err = name_check(name);

	if (err == 0)
		err = folder_get(local, parent, &folder);
	if (err != 0)
		return err;
	err = local_statx(folder->fd, name, &stx);
	opened_put(folder);
	if (err == -ENOENT) {
		name_missing(local, parent, name);
		*out = (struct dw_entry){.entry_timeout = DW_TIMEOUT_DEFAULT, .attr_timeout = DW_TIMEOUT_DEFAULT};
		return 0;
	}
	if (err != 0)
		return err;
	if (!S_ISDIR(stx.stx_mode))
		listing_looked_up(local);
	if (found_before(local, req, &stx, out))
		return 0;
	return entry_found(local, req, parent, name, &stx, out);
}

void local_forget(struct dw_filesystem *fs, const struct dw_request *req, const struct dw_forget *list, size_t count)
{
	struct local *local = local_of(fs);
	size_t done = req->flags & DW_REQUEST_REPLAYED ? (size_t)table_done(&local->table, req->notes) : 0;

	while (done < count) {
		table_lock(&local->table);
		table_begin(&local->table);
		for (; done < count && table_room(&local->table) > FORGET_ROOM; done++) {
			struct node *node = table_node(&local->table, list[done].node);

			if (node != NULL)
				table_forget(&local->table, node, list[done].count);
		}
		table_commit_done(&local->table, req->notes, done);
		table_unlock(&local->table);
	}
}

int local_readlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *out, size_t *length)
{
	struct local *local = local_of(fs);
	struct place place;
	struct statx stx;
	int err = node_place(local, node, DW_NO_HANDLE, &place, &stx);

	if (err != 0)
		return err;
	ssize_t got = readlinkat(place.at->fd, place.name, out, *length);
	if (got < 0)
		err = -errno;
	else
		*length = (size_t)got;
	opened_put(place.at);
	return err;
}

/* Whether a removal that was begun by an earlier process took effect. */
static bool removed_before(const struct dw_request *req, int fd, const char *name)
{
	const uint64_t *word = req->notes->word;
	struct statx stx;
	struct identity found;

	if (!(req->flags & DW_REQUEST_REPLAYED) || word[NOTE_ACTING] == 0)
		return false;
	int err = local_statx(fd, name, &stx);
	if (err == -ENOENT)
		return true;
	if (err != 0 || word[NOTE_FROM] == 0)
		return false;
	identity_of(&stx, &found);
	return found.ino != word[NOTE_FROM] || found.device != word[NOTE_FROM_DEVICE];
}

/* The drive has not seen this name: look what it is before it is removed. */
static int note_unknown(const struct dw_request *req, int fd, const char *name)
{
	struct identity found;
	struct statx stx;
	int err = local_statx(fd, name, &stx);

	if (err != 0)
		return err;
	identity_of(&stx, &found);
	req->notes->word[NOTE_FROM] = found.ino;
	req->notes->word[NOTE_FROM_DEVICE] = found.device;
	return 0;
}

static uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The host is asked. */
static int remove_on_host(struct local *local, int folder, const char *name, int flags)
{
	if (flags & AT_REMOVEDIR)
		return unlinkat(folder, name, flags) == 0 ? 0 : -errno;
	int held = dropper_hold(local->dropper, folder, name);
	uint64_t began = clock_now();
	int err = unlinkat(folder, name, flags) == 0 ? 0 : -errno;

	dropper_release(local->dropper, held, clock_now() - began);
	return err;
}

static int remove_name(struct local *local, const struct dw_request *req, uint64_t parent, const char *name, int flags)
{
	uint64_t *word = req->notes->word;
	struct opened *folder;
	uint64_t open_node = 0;
	int err = name_check(name);

	if (err == 0)
		err = folder_get(local, parent, &folder);
	if (err != 0)
		return err;
	bool again = (req->flags & DW_REQUEST_REPLAYED) && word[NOTE_ACTING] != 0;
	if (again && table_noted(&local->table, req->notes)) {
		opened_put(folder);
		return 0;
	}
	table_lock(&local->table);
	struct node *at = table_node(&local->table, parent);
	struct name *known = at != NULL ? table_name(&local->table, at, name, strlen(name)) : NULL;
	if (known != NULL) {
		struct node *node = table_node_at(&local->table, known->node);

		if (!again) {
			word[NOTE_FROM] = node->identity.ino;
			word[NOTE_FROM_DEVICE] = node->identity.device;
		}
		if (node->handles != 0 && node->identity.type == DW_MODE_FILE && known->other == 0 &&
		    node->names == table_ref(&local->table, known))
			open_node = node->id;
	}
	table_unlock(&local->table);
	if (known == NULL && !again)
		err = note_unknown(req, folder->fd, name);
	if (open_node != 0)
		node_keep_open(local, open_node);
	atomic_signal_fence(memory_order_seq_cst);
	if (err == 0 && !removed_before(req, folder->fd, name)) {
		word[NOTE_ACTING] = 1;
		atomic_signal_fence(memory_order_seq_cst);
		err = remove_on_host(local, folder->fd, name, flags);
	}
	if (err == 0)
		name_gone(local, parent, name, req->notes);
	else if (err == -ENOENT)
		name_missing(local, parent, name);
	opened_put(folder);
	return err;
}

int local_unlink(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	return remove_name(local_of(fs), req, parent, name, 0);
}

int local_rmdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	return remove_name(local_of(fs), req, parent, name, AT_REMOVEDIR);
}

/* --- rename -------------------------------------------------------------------------------------------- */

static bool leads_to(int fd, const char *name, uint64_t ino, uint64_t device, int *err)
{
	struct statx stx;
	struct identity found;

	*err = local_statx(fd, name, &stx);
	if (*err != 0)
		return false;
	identity_of(&stx, &found);
	return ino != 0 && found.ino == ino && found.device == device;
}

/* Note which files are involved; the table knows them unless it has been bypassed, then the host is asked. */
static void rename_note(struct local *local, const struct dw_request *req, uint64_t parent, int fd, const char *name,
			uint64_t new_parent, int new_fd, const char *new_name, bool exchange)
{
	uint64_t *word = req->notes->word;
	struct statx stx;
	struct identity found;

	name_identity(local, parent, name, &word[NOTE_FROM], &word[NOTE_FROM_DEVICE]);
	name_identity(local, new_parent, new_name, &word[NOTE_TO], &word[NOTE_TO_DEVICE]);
	if (word[NOTE_FROM] == 0 && local_statx(fd, name, &stx) == 0) {
		identity_of(&stx, &found);
		word[NOTE_FROM] = found.ino;
		word[NOTE_FROM_DEVICE] = found.device;
	}
	if (exchange && word[NOTE_TO] == 0 && local_statx(new_fd, new_name, &stx) == 0) {
		identity_of(&stx, &found);
		word[NOTE_TO] = found.ino;
		word[NOTE_TO_DEVICE] = found.device;
	}
}

static bool renamed_before(const struct dw_request *req, int fd, const char *name, int new_fd, const char *new_name,
			   bool exchange)
{
	const uint64_t *word = req->notes->word;
	int err;

	if (!(req->flags & DW_REQUEST_REPLAYED) || word[NOTE_ACTING] == 0)
		return false;
	if (!leads_to(new_fd, new_name, word[NOTE_FROM], word[NOTE_FROM_DEVICE], &err))
		return false;
	bool swapped = leads_to(fd, name, word[NOTE_TO], word[NOTE_TO_DEVICE], &err);
	return exchange ? swapped : err == -ENOENT;
}

/* The host has moved the name: so does the table. */
static void rename_names(struct local *local, uint64_t parent, const char *name, uint64_t new_parent,
			 const char *new_name, bool exchange, struct dw_notes *notes)
{
	struct table *table = &local->table;

	table_lock(table);
	struct node *folder = table_node(table, parent);
	struct node *new_folder = table_node(table, new_parent);
	if (folder == NULL || new_folder == NULL)
		goto out;
	struct name *source = table_name(table, folder, name, strlen(name));
	struct name *target = table_name(table, new_folder, new_name, strlen(new_name));
	struct node *moved = source != NULL ? table_node_at(table, source->node) : NULL;
	struct node *other = target != NULL ? table_node_at(table, target->node) : NULL;

	/* Two names of one file: the host leaves both. */
	if (moved != NULL && moved == other)
		goto out;
	table_begin(table);
	/* Held for a moment, so that none of them goes before the end. */
	if (moved != NULL)
		table_count(table, moved, 1);
	if (other != NULL)
		table_count(table, other, 1);
	bool full = false;
	if (other != NULL && !exchange && is_last_name(other, target, table))
		table_unhash(table, other);
	if (moved != NULL)
		full = !table_set_name(table, moved, new_folder, new_name, strlen(new_name));
	else if (target != NULL)
		table_drop_name(table, target);
	if (exchange && other != NULL)
		full |= !table_set_name(table, other, folder, name, strlen(name));
	else if (source != NULL)
		table_drop_name(table, source);
	if (other != NULL)
		table_forget(table, other, 1);
	if (moved != NULL)
		table_forget(table, moved, 1);
	if (full)
		table_rollback(table);
	else
		table_commit(table, notes);
out:
	table_unlock(table);
}

/* A file that the rename replaces is kept if it is open and has no other name. */
static void keep_replaced(struct local *local, uint64_t parent, const char *name)
{
	uint64_t open_node = 0;

	table_lock(&local->table);
	struct node *folder = table_node(&local->table, parent);
	struct name *known = folder != NULL ? table_name(&local->table, folder, name, strlen(name)) : NULL;
	if (known != NULL && known->other == 0) {
		struct node *node = table_node_at(&local->table, known->node);

		if (node->handles != 0 && node->identity.type == DW_MODE_FILE &&
		    node->names == table_ref(&local->table, known))
			open_node = node->id;
	}
	table_unlock(&local->table);
	if (open_node != 0)
		node_keep_open(local, open_node);
}

int local_rename(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		 uint64_t new_parent, const char *new_name, uint32_t flags)
{
	struct local *local = local_of(fs);
	struct opened *folder = NULL;
	struct opened *new_folder = NULL;
	uint64_t *word = req->notes->word;
	bool exchange = flags & DW_RENAME_EXCHANGE;
	unsigned host = (flags & DW_RENAME_NOREPLACE ? RENAME_NOREPLACE : 0) | (exchange ? RENAME_EXCHANGE : 0);
	int err = name_check(name);

	if (err == 0)
		err = name_check(new_name);
	if (err == 0 && (flags & ~(DW_RENAME_NOREPLACE | DW_RENAME_EXCHANGE)))
		err = -EINVAL;
	if (err == 0 && (req->flags & DW_REQUEST_REPLAYED) && table_noted(&local->table, req->notes))
		return 0;
	if (err == 0)
		err = folder_get(local, parent, &folder);
	if (err == 0)
		err = folder_get(local, new_parent, &new_folder);
	if (err != 0)
		goto out;
	if (!renamed_before(req, folder->fd, name, new_folder->fd, new_name, exchange)) {
		if (!exchange)
			keep_replaced(local, new_parent, new_name);
		word[NOTE_ACTING] = 0;
		atomic_signal_fence(memory_order_seq_cst);
		rename_note(local, req, parent, folder->fd, name, new_parent, new_folder->fd, new_name, exchange);
		atomic_signal_fence(memory_order_seq_cst);
		word[NOTE_ACTING] = 1;
		atomic_signal_fence(memory_order_seq_cst);
		if (renameat2(folder->fd, name, new_folder->fd, new_name, host) != 0)
			err = -errno;
	}
	if (err == 0)
		rename_names(local, parent, name, new_parent, new_name, exchange, req->notes);
out:
	opened_put(new_folder);
	opened_put(folder);
	return err;
}

/* --- link ---------------------------------------------------------------------------------------------- */

static int link_on_host(const struct place *place, int fd, const char *name)
{
	char path[64];

	if (place->name[0] != '\0')
		return linkat(place->at->fd, place->name, fd, name, 0) == 0 ? 0 : -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", place->at->fd);
	return linkat(AT_FDCWD, path, fd, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

int local_link(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t new_parent,
	       const char *new_name, struct dw_entry *out)
{
	struct local *local = local_of(fs);
	uint64_t *word = req->notes->word;
	struct opened *folder = NULL;
	struct place place = {0};
	struct identity found;
	struct statx stx;
	int err = name_check(new_name);

	if (err == 0)
		err = folder_get(local, new_parent, &folder);
	if (err == 0)
		err = node_place(local, node, DW_NO_HANDLE, &place, &stx);
	if (err != 0)
		goto out;
	bool acting = (req->flags & DW_REQUEST_REPLAYED) && word[NOTE_ACTING] != 0;
	if (!acting)
		name_identity(local, new_parent, new_name, &word[NOTE_TO], &word[NOTE_TO_DEVICE]);
	bool again = acting && !leads_to(folder->fd, new_name, word[NOTE_TO], word[NOTE_TO_DEVICE], &err) &&
		     leads_to(folder->fd, new_name, place.identity.ino, place.identity.device, &err);
	err = 0;
	if (!again) {
		atomic_signal_fence(memory_order_seq_cst);
		word[NOTE_ACTING] = 1;
		atomic_signal_fence(memory_order_seq_cst);
		err = link_on_host(&place, folder->fd, new_name);
		/* The name that it was reached by may just have been removed; it may have others. */
		for (unsigned pass = 0; err == -ENOENT && place.name[0] != '\0' && pass < LOCAL_PASSES; pass++) {
			opened_put(place.at);
			err = node_place(local, node, DW_NO_HANDLE, &place, &stx);
			if (err == 0)
				err = link_on_host(&place, folder->fd, new_name);
		}
	}
	if (err == 0)
		err = local_statx(folder->fd, new_name, &stx);
	if (err != 0)
		goto out;
	identity_of(&stx, &found);
	if (!identity_equal(&found, &place.identity)) {
		/* The name that we linked by was given to another file at that very moment. */
		unlinkat(folder->fd, new_name, 0);
		err = -ESTALE;
	} else if (!found_before(local, req, &stx, out)) {
		err = entry_found(local, req, new_parent, new_name, &stx, out);
	}
out:
	opened_put(place.at);
	opened_put(folder);
	return err;
}
