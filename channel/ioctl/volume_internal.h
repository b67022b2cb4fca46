/* SPDX-License-Identifier: MIT */
/*
 * volume_internal.h - what the files of a volume share
 *
 *    volume.c     the volume; beginning and end of a call; help for calling the file system
 *    files.c      table of open files
 *    locks.c      locks of nodes
 *    folds.c      names of folders, found without regard to case
 *    walk.c       from a path to a node
 *    open.c       CREATE, REOPEN, CLOSE           data.c   READ, WRITE, FLUSH, SET_SIZE, OVERWRITE
 *    info.c       QUERY_FILE, SET_BASIC, volume and security
 *    rename.c     RENAME, CLEANUP, CAN_DELETE     list.c   LIST          reparse.c   FILE_CONTROL
 *
 * Functions named request_* answer one type: they return its NTSTATUS and fill in call->out. dispatch.c has checked
 * lengths and offsets before.
 */
#ifndef CHANNEL_IOCTL_VOLUME_INTERNAL_H
#define CHANNEL_IOCTL_VOLUME_INTERNAL_H

#include <pthread.h>
#include <stddef.h>

#include "channel/ioctl/names.h"
#include "channel/ioctl/nt.h"
#include "channel/ioctl/status.h"
#include "channel/ioctl/volume.h"

#define VOLUME_UMASK 022u

/* kept_file.flags */
#define FILE_KEPT_RELEASE (1u << 0) /* handle is one to release */
#define FILE_KEPT_FOLDER  (1u << 1)
#define FILE_KEPT_DIRECT  (1u << 2) /* DW_OPEN_DIRECT */
#define FILE_KEPT_LINK	  (1u << 3) /* the link itself, or another file that is not data */

/* kept_call.stage */
enum stage {
	STAGE_NEW,
	STAGE_MAKING,	 /* CREATE: there was no such name, one is being made */
	STAGE_OPENED,	 /* CREATE: value is the file's id */
	STAGE_APPENDING, /* WRITE: value is the offset */
};

struct file {
	struct kept_file *kept;
	char *path;	/* resolved, "a/b", "" the root; NULL: not known */
	uint32_t users; /* requests that use it, and 1 while it is open */
	uint32_t next;	/* in the list of free slots */
	bool closed;
	bool inherited; /* an earlier process opened it, and FS_REOPEN has not come */
};

struct files {
	pthread_mutex_t lock;
	struct file *slot; /* VOLUME_FILES */
	uint32_t first_free;
	uint32_t last_free; /* taken at the beginning, given back at the end: none is used again at once */
	uint32_t count;
	uint64_t random;
};

struct node_lock {
	struct node_lock *next;
	uint64_t node;
	unsigned users;
	pthread_mutex_t mutex;
};

#define LOCK_BUCKETS 64u

struct locks {
	pthread_mutex_t lock;
	struct node_lock *bucket[LOCK_BUCKETS];
};

struct fold_folder;

#define FOLD_BUCKETS 64u

struct folds {
	pthread_mutex_t lock;
	struct fold_folder *bucket[FOLD_BUCKETS];
	size_t names; /* remembered in all */
	size_t folders;
	uint64_t tick;
};

struct call;

struct volume {
	struct dw_filesystem *fs;
	struct dw_filesystem_ops ops; /* whole, whatever size the file system's is */
	bool read_only;
	struct security_owner owner;
	uint32_t serial;
	struct volume_kept *kept;
	struct volume_kept *own_kept;
	pthread_mutex_t label_lock;
	uint16_t label[FS_LABEL_MAX / 2];
	uint32_t label_length;

	struct files files;
	struct locks locks;
	struct folds folds;

	pthread_mutex_t calls_lock;
	pthread_cond_t calls_free;
	struct call *calls; /* under way */
	uint16_t free_calls[VOLUME_CALLS];
	unsigned free_count;
	bool left[VOLUME_CALLS]; /* of an earlier process, and not asked for again so far */
	unsigned left_count;
	bool restoring; /* until the first request that is not FS_REOPEN; atomic */
};

#define CALL_FORGETS 32u

/* One request on its way. */
struct call {
	struct volume *volume;
	struct fs_request in;	/* the fixed part, copied: what was checked stays so */
	const uint8_t *message; /* all of it */
	struct fs_response *out;
	uint8_t *data; /* of the answer */
	uint32_t room;
	struct kept_call *kept;
	bool replayed;
	bool main_used;
	struct dw_request req;
	struct dw_notes scratch;
	uint32_t interrupted;
	struct dw_forget forget[CALL_FORGETS];
	size_t forgets;
	struct call *next;
	struct call *previous;
};

/* --- volume.c --- */

/* For the one operation that changes something: with the request's notes. Later calls of it in one request get none. */
const struct dw_request *call_main(struct call *call);
/* For all others. Valid until the next of these. */
const struct dw_request *call_step(struct call *call);
/* May a change be tried with an operation that is there (or not)? 0, -EROFS, -ENOSYS. */
int call_may_change(const struct call *call, bool there);
/* One lookup of node is to be given back. */
void call_forget(struct call *call, uint64_t node);
void call_forget_all(struct call *call);
/* -ENOENT also where the file system says that the name is known not to be there. Counts one lookup on success. */
int call_lookup(struct call *call, uint64_t parent, const char *name, struct dw_entry *out);
int call_getattr(struct call *call, uint64_t node, uint64_t handle, struct dw_attr *out);
int call_readlink(struct call *call, uint64_t node, char target[4096]);
/* The extended attribute of status.h; attributes_default without one. */
uint32_t call_attributes(struct call *call, uint64_t node, bool is_folder);
void call_set_attributes(struct call *call, uint64_t node, uint32_t kept, bool is_folder);
const uint16_t *call_text(const struct call *call, struct fs_text text);
/* attr as fs_file; path (or NULL) tells where a link leads. */
void call_fill_file(struct call *call, uint64_t node, const struct dw_attr *attr, const char *path,
		    struct fs_file *out);
/* Answer with the file as it is now. */
int32_t call_answer_file(struct call *call, struct file *file);

/* --- files.c --- */

int files_create(struct files *files, struct volume_kept *kept, uint64_t seed);
void files_destroy(struct files *files);
/* A new open file; path becomes the table's. id: FS_REOPEN's, or 0. -EMFILE. */
int files_add(struct files *files, const struct kept_file *as, char *path, struct file **out);
/* The open file with this id, and one user more; NULL: there is none. */
struct file *files_get(struct files *files, uint64_t id);
/* No further request finds it. */
bool files_close(struct files *files, struct file *file);
/* One user less; after the last one, handle, lookup and slot are given back. */
void files_put(struct call *call, struct file *file);
/* An earlier process's file is this one's from now on. */
void files_adopt(struct files *files, struct file *file);
/*
 * Take a file of an earlier process out, and give nothing back. The caller's use of it ends. False: it is another
 * one's, or in use.
 */
bool files_lose(struct files *files, struct file *file);
/* An open file of an earlier process from slot *slot on, with one user more; *slot goes behind it. NULL: no more. */
struct file *files_get_inherited(struct files *files, uint32_t *slot);
/* Release the handle, if there is one. */
void files_release(struct call *call, const struct dw_request *req, const struct kept_file *kept);
/* A copy of the file's path to free; NULL: not known, or no memory. */
char *files_path(struct files *files, struct file *file);
void files_set_path(struct files *files, struct file *file, char *path);
/* What is open at from or below is now at to. */
void files_renamed(struct files *files, const char *from, const char *to);

/* --- locks.c --- */

void locks_create(struct locks *locks);
void locks_destroy(struct locks *locks);
/* -ENOMEM. */
int locks_take(struct locks *locks, uint64_t node);
void locks_give(struct locks *locks, uint64_t node);
int locks_take_two(struct locks *locks, uint64_t a, uint64_t b);
void locks_give_two(struct locks *locks, uint64_t a, uint64_t b);

/* --- folds.c --- */

void folds_create(struct folds *folds);
void folds_destroy(struct folds *folds);
/* The name in folder that is name to Windows: actual. generation: of the folder's entry. -ENOENT and errors of readdir.
 */
int folds_find(struct call *call, uint64_t folder, uint64_t generation, const char *name, char actual[NAME_BYTES + 1]);
/* After the file system has done it. */
void folds_added(struct folds *folds, uint64_t folder, const char *name);
void folds_removed(struct folds *folds, uint64_t folder, const char *name);
void folds_drop(struct folds *folds, uint64_t folder);

/* --- walk.c --- */

#define WALK_FOLLOW	    (1u << 0) /* a link at the end, too */
#define WALK_CASE_SENSITIVE (1u << 1)

/* Where a path leads. */
struct place {
	uint64_t parent; /* one lookup of it is held; 0: the root has none */
	uint64_t parent_generation;
	char name[NAME_BYTES + 1]; /* as it is, or is to be; "" the root */
	char *path;		   /* resolved, of all of it; malloc */
	bool found;
	bool ends_open;	       /* the path ended in a backslash: a folder is meant */
	struct dw_entry entry; /* when found; one lookup is held */
};

/*
 * STATUS_OBJECT_PATH_NOT_FOUND (a folder on the way), STATUS_OBJECT_NAME_INVALID, STATUS_REPARSE (a link leads away:
 * call->out and call->data are filled in), others of the file system. A name that is missing is no error: found tells.
 * On success place_release is to be called.
 */
int32_t walk(struct call *call, struct fs_text path, unsigned flags, struct place *out);
/* The same for a resolved path. */
int32_t walk_resolved(struct call *call, const char *path, unsigned flags, struct place *out);
void place_release(struct call *call, struct place *place);
/*
 * Look name up in a folder, in any case of letters unless flags forbid it; name becomes what it really is. Counts one
 * lookup on success.
 */
int walk_find(struct call *call, uint64_t parent, uint64_t generation, unsigned flags, char name[NAME_BYTES + 1],
	      struct dw_entry *out);
/* Does the link at this resolved path lead to a folder? */
bool walk_leads_to_folder(struct call *call, const char *path);

/* --- open.c --- */

int32_t request_create(struct call *call);
int32_t request_reopen(struct call *call);
int32_t request_close(struct call *call, struct file *file);
uint32_t open_mode(const struct volume *volume, bool is_folder, uint32_t attributes);

/* --- data.c --- */

int32_t request_read(struct call *call, struct file *file);
int32_t request_write(struct call *call, struct file *file);
int32_t request_flush(struct call *call, struct file *file);
int32_t request_set_size(struct call *call, struct file *file);
int32_t request_overwrite(struct call *call, struct file *file);
/* Room for size bytes, as well as the file system can. */
void data_allocate(struct call *call, struct file *file, uint64_t size);

/* --- info.c --- */

int32_t request_query_file(struct call *call, struct file *file);
int32_t request_set_basic(struct call *call, struct file *file);
int32_t request_query_volume(struct call *call);
int32_t request_set_label(struct call *call);
int32_t request_query_security(struct call *call, struct file *file);
int32_t request_set_security(struct call *call, struct file *file);

/* --- rename.c --- */

int32_t request_rename(struct call *call, struct file *file);
int32_t request_cleanup(struct call *call, struct file *file);
int32_t request_can_delete(struct call *call, struct file *file);

/* --- list.c, reparse.c --- */

int32_t request_list(struct call *call, struct file *file);
int32_t request_file_control(struct call *call, struct file *file);
/* A link's REPARSE_DATA_BUFFER into room bytes: its size; 0: too little room. */
uint32_t reparse_build(const char *target, size_t length, uint8_t *out, uint32_t room);
/* A target that lies elsewhere than on the volume. */
bool reparse_leads_away(const char *target);

#endif
