/* SPDX-License-Identifier: MIT */
/*
 * sync_internal.h - what the files of the journal share
 *
 *    sync.c          threads, waiting, numbers
 *    sync_journal.c  which node or removal is next, and what stands in its way
 *    sync_node.c     one node: which call brings the server nearer, and what its answer means
 *    sync_upload.c   bytes to the server in one go
 *    sync_session.c  and in parts that survive a restart
 *    sync_gone.c     one removal
 *    sync_open.c     files that stay open for writing
 *    sync_sent.c     one upload, or new folder, whose answer and whose node were lost
 *    sync_item.c     copies of items, and finding the item that holds a name
 *
 * One scheduler thread looks into the database for what is due and gives it to a pool of workers, a task each; it
 * sleeps without a time-out when nothing is dirty. No node, and no removal, is in two tasks at once. sync->lock is a
 * leaf: nothing is called while it is held.
 */
#ifndef CACHE_SYNC_INTERNAL_H
#define CACHE_SYNC_INTERNAL_H

#include <pthread.h>

#include "cache/absorb.h"
#include "cache/sync.h"
#include "support/workers.h"

#define SYNC_TASKS   8	/* that run at once; each is one call of the remote */
#define SYNC_SENDERS 4	/* parts of all upload sessions that are sent at once beside the tasks' own */
#define SYNC_QUIET   60 /* settling times after which what was written to an open file is uploaded */
#define SYNC_SECOND  1000000000ll
#define SYNC_NEVER   INT64_MAX

struct sync_task {
	uint64_t node; /* a node; or */
	int64_t gone;  /* a row of gone; or */
	int64_t sent;  /* a row of sent that is lost; the others are 0 */
	bool aside;    /* the node must give way: move it to a temporary name */
	bool bytes;    /* something waits for the node's bytes to be in its item, wherever that is: before its place */
};

struct sync_job {
	struct workers_job job; /* first */
	struct sync *sync;
	bool used;
	uint64_t round; /* sync->round when it began */
	struct sync_task task;
	/* Where it puts something new; "": nowhere. sync->lock. */
	char parent[DW_REMOTE_ID_MAX + 1];
	char name[NODE_NAME_SIZE];
	/* The transfer, for status; sync->lock. */
	uint64_t bytes, sent;
	int64_t began; /* 0: none */
};

struct sync {
	struct cache *cache;
	struct workers *workers;
	struct workers *senders;
	pthread_t scheduler;
	pthread_mutex_t lock;
	pthread_cond_t wake;	 /* the scheduler; CLOCK_REALTIME */
	pthread_cond_t progress; /* those who wait in sync_wait; CLOCK_MONOTONIC */
	bool stopping;
	bool woken;
	int64_t armed;	 /* nanoseconds since 1970 when the scheduler looks again; SYNC_NEVER: when it is woken */
	int64_t look;	 /* when to look at files that are open for writing; SYNC_NEVER: there are none */
	int64_t quiet;	 /* until then the remote wants to be left alone */
	unsigned urgent; /* threads in sync_wait: nothing needs to settle */
	uint64_t round;	 /* raised by each of them: a try that began before tells it nothing */
	uint64_t uploaded;
	struct sync_job jobs[SYNC_TASKS];
};

/* An item that outlives the callback that brought it. */
struct sync_item {
	bool there;
	struct dw_remote_item item; /* all that it points to is this struct's */
	char *texts;
	struct dw_remote_property *properties;
};

/* dw_remote_items.context is a struct sync_item, which starts all zero; sync_item_free in the end. */
int sync_item_take(const struct dw_remote_items *items, const struct dw_remote_item *item);
void sync_item_free(struct sync_item *copy);
/* The item called name in the folder (one that folds to it, where the remote folds case): 0, -ENOENT, or as list. */
int sync_item_find(struct cache *cache, struct dw_remote_call *call, const char *folder, const char *name,
		   struct sync_item *out);

/* 1: *task can run now. 0: nothing can; *due is when to look again. Skips what is in a job. */
int sync_next(struct sync *sync, struct sync_task *task, int64_t *due);
/* See sync_open.c. Answers when to look again; SYNC_NEVER: nothing is open for writing. */
int64_t sync_look_at_open(struct sync *sync);
/* In nanoseconds. */
int64_t sync_quiet(struct sync *sync);
bool sync_is_busy(struct sync *sync, const struct sync_task *task);

/* A node as it was when its task, or the next step of it, began. */
struct sync_subject {
	struct node_row row;
	struct node_item item;
	char name[NODE_NAME_SIZE];
	char parent[DW_REMOTE_ID_MAX + 1]; /* remote id of the folder that it is in; "": not there yet */
};

/*
 * there was found in the folder parent (a remote id), where something of ours should go. Is it one that we are about to
 * move or remove, or that we know to be elsewhere by a call that was answered since? Then it is only a matter of time.
 * What was sent and not answered is asked for before this: whoever sent it takes it, and the note of it away, at once.
 */
bool sync_will_leave(struct cache *cache, const char *parent, const struct dw_remote_item *there);

void sync_run_node(struct sync_job *job);
void sync_run_gone(struct sync_job *job);
void sync_run_sent(struct sync_job *job);

/*
 * Send the bytes of subject as a new file or as a new version of its item, and make the answer the node's. 0 and done;
 * or as dw_remote_ops.upload, with call->message; -EBUSY when the bytes change too fast to be sent.
 */
int sync_upload(struct sync_job *job, const struct sync_subject *subject, struct dw_remote_call *call);

/* What sync_upload and sync_session share: the bytes, their stamp and digest. */
struct sync_source {
	struct dw_remote_content content; /* first */
	struct sync_job *job;
	struct content *file; /* NULL: bytes are these: */
	const char *text;
	struct content_stamp stamp;
	uint8_t digest[64];
	size_t digest_length;
};
/* Send in parts; *item is the answer. */
int sync_session(struct sync_job *job, const struct sync_subject *subject, struct sync_source *source,
		 const struct dw_remote_place *place, struct dw_remote_call *call, struct sync_item *item);

/* item is the node's now, and the server knows of it what done says. */
int sync_answered(struct sync_job *job, const struct sync_subject *subject, uint32_t done,
		  const struct dw_remote_item *item);
/* The server has nothing of the node any more: what is only here of it is new. */
int sync_item_lost(struct sync_job *job, const struct sync_subject *subject);
/* Something could not go into its folder: when that is gone on the server, so it is here. -EBUSY, or what stat says. */
int sync_folder_lost(struct sync_job *job, const struct sync_subject *subject, struct dw_remote_call *call);
/* Somebody else's item is where the node should go: the node gets a conflicted name beside it. -EBUSY: it has been
 * given another place since, and is to be tried there. */
int sync_keep_both(struct sync_job *job, const struct sync_subject *subject, const struct dw_remote_item *there);

/* The task failed with ret: when to try again, and why, goes into its row. */
void sync_failed(struct sync_job *job, int ret, const struct dw_remote_call *call);

#endif
