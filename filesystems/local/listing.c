/* SPDX-License-Identifier: MIT */
/*
 * listing.c - reading folders
 *
 * The offsets given out are the host's own (d_off), so the next process, with a descriptor opened anew, goes on where
 * the last one stopped. A handle reads ahead one buffer of entries; its lock covers buffer and position.
 *
 * With attributes an entry costs one statx (files_wanted says when that is worth it), and is entered and counted as by
 * a lookup. An entry that has vanished since is left out.
 *
 * Exactly once: a listing changes nothing but counts. Each node that is counted for an answer is noted, so an answer
 * counts no more nodes than there is room for in the notes. A replayed listing first takes back what an earlier process
 * had counted, since that answer never reached the kernel, and then lists the folder as it is now.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "local.h"

#define LISTING_BUFFER (32u << 10)
#define WANTED_FOR     32u    /* listings */
#define LEFT_OUT_MAX   10000u /* files: then what was seen of them is old */
#define LISTED_MAX     (2u * (sizeof(((struct dw_notes *)0)->word) / sizeof(uint64_t) - NOTE_LISTED))

struct host_entry { /* linux_dirent64 */
	uint64_t ino;
	int64_t next;
	uint16_t size;
	uint8_t type;
	char name[];
};

int local_opendir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_open *out)
{
	struct local *local = local_of(fs);
	struct opened *opened;

	if ((req->flags & DW_REQUEST_REPLAYED) && table_noted(&local->table, req->notes))
		return handle_again(local, req, out);
	int err = node_open(local, node, DW_NO_HANDLE, O_RDONLY | O_DIRECTORY, &opened, NULL);
	if (err != 0)
		return err;
	folder_keep(local, node, opened);
	table_lock(&local->table);
	struct node *known = table_node(&local->table, node);
	struct handle *handle = NULL;
	err = -ESTALE;
	if (known != NULL) {
		table_begin(&local->table);
		handle = table_make_handle(&local->table, known, O_DIRECTORY);
		if (handle != NULL) {
			table_set_opened(&local->table, handle, opened);
			req->notes->word[NOTE_HANDLE] = handle->id;
			*out = (struct dw_open){.handle = handle->id};
			table_commit(&local->table, req->notes);
			err = 0;
		} else {
			table_rollback(&local->table);
			err = -ENOMEM;
		}
	}
	table_unlock(&local->table);
	if (err != 0)
		opened_put(opened);
	return err;
}

/* The entry at opened->next, reading on if need be. NULL with *err 0: the end. Under opened->lock. */
static const struct host_entry *next_entry(struct opened *opened, int *err)
{
	*err = 0;
	if (opened->next >= opened->fill) {
		if (opened->buffer == NULL)
			opened->buffer = malloc(LISTING_BUFFER);
		if (opened->buffer == NULL) {
			*err = -ENOMEM;
			return NULL;
		}
		long got = syscall(SYS_getdents64, opened->fd, opened->buffer, LISTING_BUFFER);
		opened->next = 0;
		opened->fill = got > 0 ? (uint32_t)got : 0;
		if (got < 0 && errno != ENOENT) /* ENOENT: the folder was removed */
			*err = -errno;
		if (got <= 0)
			return NULL;
	}
	return (const struct host_entry *)(opened->buffer + opened->next);
}

/*
 * Back to the start by a fresh open file under the same descriptor: ext4, when the first thing that it was asked
 * for was the end of the folder, finds nothing at the start either after lseek.
 */
static int seek_to(const struct opened *opened, uint64_t offset)
{
	int fresh = offset == 0 ? openat(opened->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int err = 0;

	if (fresh >= 0) {
		if (dup3(fresh, opened->fd, O_CLOEXEC) < 0)
			err = -errno;
		close(fresh);
	} else if (lseek(opened->fd, (off_t)offset, SEEK_SET) < 0) {
		err = -errno;
	}
	return err;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

void listing_looked_up(struct local *local)
{
	atomic_fetch_add_explicit(&local->wants.looked_up, 1, memory_order_relaxed);
}

/*
 * Are files listed with their attributes? Further on in a folder the kernel asks for them only when programs have used
 * those that it got; at the start of a folder it always does. There, whether programs want them shows in the lookups
 * that follow when they were left out. So they are left out at first; once a quarter of what was left out was looked
 * up, they are given in the next WANTED_FOR listings, then left out once to see whether that still holds. A walk
 * over names then costs no statx a file, and one over attributes no request a file. What several threads do to the
 * counts at a time may make one listing slower, never wrong.
 */
static bool files_wanted(struct local *local, const struct dw_listing *listing, uint64_t offset)
{
	struct local_wants *wants = &local->wants;
	uint32_t left = atomic_load_explicit(&wants->listings, memory_order_relaxed);
	uint32_t left_out = atomic_load_explicit(&wants->left_out, memory_order_relaxed);

	if (!listing->attributes || offset != 0)
		return listing->attributes;
	if (left > 0) {
		atomic_store_explicit(&wants->listings, left - 1, memory_order_relaxed);
		return true;
	}
	if (left_out > 0 && atomic_load_explicit(&wants->looked_up, memory_order_relaxed) >= left_out / 4) {
		atomic_store_explicit(&wants->listings, WANTED_FOR, memory_order_relaxed);
		atomic_store_explicit(&wants->left_out, 0, memory_order_relaxed);
		return true;
	}
	if (left_out == 0 || left_out > LEFT_OUT_MAX) {
		atomic_store_explicit(&wants->left_out, 0, memory_order_relaxed);
		atomic_store_explicit(&wants->looked_up, 0, memory_order_relaxed);
	}
	return false;
}

/* Is found given with its attributes? What is looked into during a walk always is. */
static bool wants_attributes(struct local *local, const struct dw_listing *listing, const struct host_entry *found,
			     bool files)
{
	if (!listing->attributes || is_dots(found->name))
		return false;
	if (files || found->type == DT_DIR || found->type == DT_UNKNOWN)
		return true;
	atomic_fetch_add_explicit(&local->wants.left_out, 1, memory_order_relaxed);
	return false;
}

/* The nodes that were counted for this answer. */
static arena_ref *listed_of(const struct dw_request *req)
{
	return (arena_ref *)&req->notes->word[NOTE_LISTED];
}

/* An answer that an earlier process was at was never given: take its counts back. */
static void uncount(struct local *local, const struct dw_request *req)
{
	struct table *table = &local->table;
	uint64_t count = table_done(table, req->notes);

	if (count == 0)
		return;
	table_lock(table);
	table_begin(table);
	for (uint64_t i = 0; i < count; i++)
		table_forget(table, table_node_at(table, listed_of(req)[i]), 1);
	table_commit_done(table, req->notes, 0);
	table_unlock(table);
}

/* An answer under way. */
struct answer {
	const struct dw_request *req;
	uint64_t folder;
	struct dw_listing *listing;
	uint32_t counted;
	bool first; /* of the folder */
	bool begun; /* something was added */
};

/* An entry of which only name and type are told, and which is not counted. false: it did not fit. */
static bool add_plain(struct answer *answer, const struct host_entry *found)
{
	struct dw_entry entry = {.attr = {.ino = found->ino, .mode = (uint32_t)found->type << 12}};
	struct dw_listing *listing = answer->listing;

	return listing->add(listing, found->name, strlen(found->name), (uint64_t)found->next, &entry);
}

/* Enter and count what stx says, and add it. false: it did not fit, or *err is set. */
static bool add_counted(struct local *local, struct answer *answer, const struct host_entry *found,
			const struct statx *stx, int *err)
{
	struct dw_listing *listing = answer->listing;
	struct table *table = &local->table;
	struct dw_entry entry;
	bool fitted = false;

	table_lock(table);
	table_begin(table);
	struct node *node = entry_enter(local, answer->folder, found->name, stx, &entry, err);
	if (node != NULL)
		fitted = listing->add(listing, found->name, strlen(found->name), (uint64_t)found->next, &entry);
	if (fitted) {
		listed_of(answer->req)[answer->counted++] = table_ref(table, node);
		table_commit_done(table, answer->req->notes, answer->counted);
	} else {
		table_rollback(table);
	}
	table_unlock(table);
	if (*err != -ELOOP)
		return fitted;
	*err = 0;
	return add_plain(answer, found);
}

/* Add the entry; false when it did not fit, or *err is set. */
static bool add_found(struct local *local, struct answer *answer, const struct opened *opened,
		      const struct host_entry *found, bool attributes, int *err)
{
	struct statx stx;

	if (!attributes)
		return add_plain(answer, found);
	/* The kernel asks for no attributes of the next entries, or it knows why it does. */
	if (answer->counted == LISTED_MAX)
		return answer->first && add_plain(answer, found);
	int missing = local_statx(opened->fd, found->name, &stx);
	if (missing == 0)
		return add_counted(local, answer, found, &stx, err);
	return missing == -ENOENT || add_plain(answer, found);
}

int local_readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  uint64_t offset, struct dw_listing *listing)
{
	struct local *local = local_of(fs);
	struct answer answer = {.req = req, .folder = node, .listing = listing, .first = offset == 0};
	bool files = files_wanted(local, listing, offset);
	struct opened *opened;
	int err;

	if (req->flags & DW_REQUEST_REPLAYED)
		uncount(local, req);
	err = handle_get(local, node, handle, &opened);
	if (err != 0)
		return err;
	pthread_mutex_lock(&opened->lock);
	if (offset != opened->position || (offset == 0 && opened->fill != 0)) {
		opened->fill = 0;
		opened->next = 0;
		opened->position = offset;
		err = seek_to(opened, offset);
	}
	while (err == 0) {
		const struct host_entry *found = next_entry(opened, &err);

		if (found == NULL ||
		    !add_found(local, &answer, opened, found, wants_attributes(local, listing, found, files), &err))
			break;
		answer.begun = true;
		opened->position = (uint64_t)found->next;
		opened->next += found->size;
	}
	pthread_mutex_unlock(&opened->lock);
	opened_put(opened);
	/* What was added counts: the error comes again when the listing is gone on with. */
	return answer.begun ? 0 : err;
}

int local_fsyncdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   bool data_only)
{
	return local_fsync(fs, req, node, handle, data_only);
}
