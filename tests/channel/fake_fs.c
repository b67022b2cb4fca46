/* SPDX-License-Identifier: MIT */
#include "fake_fs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static struct fake_state *state_of(struct dw_filesystem *fs, const struct dw_request *req)
{
	struct fake_state *state = ((struct fake_fs *)fs)->state;

	if (req->flags & DW_REQUEST_REPLAYED)
		atomic_fetch_add(&state->replayed, 1);
	if (pthread_mutex_lock(&state->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&state->lock);
	return state;
}

static int done(struct fake_state *state, int error)
{
	pthread_mutex_unlock(&state->lock);
	return error;
}

static struct fake_node *node_of(struct fake_state *state, uint64_t node)
{
	return node > 0 && node < FAKE_NODES && state->nodes[node].used ? &state->nodes[node] : NULL;
}

static uint32_t find(struct fake_state *state, uint64_t parent, const char *name)
{
	for (uint32_t i = 2; i < FAKE_NODES; i++)
		if (state->nodes[i].used && state->nodes[i].parent == parent && strcmp(state->nodes[i].name, name) == 0)
			return i;
	return 0;
}

static void fill(struct fake_state *state, uint32_t node, struct dw_entry *out)
{
	out->node = node;
	out->generation = 1;
	out->attr = state->nodes[node].attr;
}

static void now(struct dw_time *out)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	out->seconds = at.tv_sec;
	out->nanoseconds = (uint32_t)at.tv_nsec;
}

static int lookup(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  struct dw_entry *out)
{
	struct fake_state *state = state_of(fs, req);
	uint32_t node = find(state, parent, name);

	if (node)
		fill(state, node, out);
	return done(state, node ? 0 : -ENOENT);
}

static int getattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   struct dw_attr *out, uint64_t *timeout)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);

	if (n)
		*out = n->attr;
	return done(state, n ? 0 : -ESTALE);
}

static int readdir(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   uint64_t offset, struct dw_listing *listing)
{
	struct fake_state *state = state_of(fs, req);

	for (uint32_t i = offset < 2 ? 2 : (uint32_t)offset + 1; i < FAKE_NODES; i++) {
		struct dw_entry entry = {.entry_timeout = DW_TIMEOUT_DEFAULT, .attr_timeout = DW_TIMEOUT_DEFAULT};
		struct fake_node *n = &state->nodes[i];

		if (!n->used || n->parent != node || !n->name[0])
			continue;
		fill(state, i, &entry);
		if (!listing->add(listing, n->name, strlen(n->name), i, &entry))
			break;
	}
	return done(state, 0);
}

static int wait_slow(struct fake_state *state, const struct dw_request *req)
{
	int error = 0;

	atomic_fetch_add(&state->slow_reads, 1);
	while (!atomic_load(&state->release)) {
		if (__atomic_load_n(req->interrupted, __ATOMIC_RELAXED)) {
			atomic_fetch_add(&state->interrupted, 1);
			error = -EINTR;
			break;
		}
		usleep(1000);
	}
	atomic_fetch_sub(&state->slow_reads, 1);
	return error;
}

static int read_file(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		     void *buffer, size_t size, uint64_t offset, size_t *read)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);

	if (!n)
		return done(state, -ESTALE);
	if (strcmp(n->name, "crash") == 0)
		abort();
	if (strcmp(n->name, "slow") == 0) {
		int error;

		if (req->flags & DW_REQUEST_NOWAIT)
			return done(state, -EAGAIN);
		pthread_mutex_unlock(&state->lock);
		error = wait_slow(state, req);
		if (error)
			return error;
		pthread_mutex_lock(&state->lock);
	}
	if (offset >= n->attr.size)
		size = 0;
	else if (size > n->attr.size - offset)
		size = n->attr.size - offset;
	memcpy(buffer, n->content + (size ? offset : 0), size);
	*read = size;
	return done(state, 0);
}

static void forget(struct dw_filesystem *fs, const struct dw_request *req, const struct dw_forget *list, size_t count)
{
	struct fake_state *state = state_of(fs, req);

	for (size_t i = 0; i < count; i++)
		atomic_fetch_add(&state->forgotten, list[i].count);
	done(state, 0);
}

static int statfs(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, struct dw_statfs *out)
{
	struct fake_state *state = state_of(fs, req);

	atomic_fetch_add(&state->statfs_calls, 1);
	out->blocks = 1000;
	out->blocks_free = 600;
	out->blocks_available = 500;
	out->files = FAKE_NODES;
	return done(state, 0);
}

static int ok(struct dw_filesystem *fs, const struct dw_request *req)
{
	return 0;
}

/* Exactly once: the node is noted before it appears, so a second run finds it. */
static int make(struct fake_state *state, const struct dw_request *req, uint64_t parent, const char *name,
		uint32_t mode, struct dw_entry *out)
{
	uint32_t noted = (uint32_t)req->notes->word[0];
	struct fake_node *n;
	uint32_t i;

	if (noted && state->nodes[noted].used && find(state, parent, name) == noted) {
		fill(state, noted, out);
		return 0;
	}
	if (find(state, parent, name))
		return -EEXIST;
	if (strlen(name) >= FAKE_NAME)
		return -ENAMETOOLONG;
	for (i = 2; i < FAKE_NODES && state->nodes[i].used; i++)
		;
	if (i == FAKE_NODES)
		return -ENOSPC;
	n = &state->nodes[i];
	memset((char *)n + sizeof(n->used), 0, offsetof(struct fake_node, content) - sizeof(n->used));
	memset(n->content, 0, FAKE_CONTENT);
	n->parent = (uint32_t)parent;
	snprintf(n->name, sizeof(n->name), "%s", name);
	n->nlink = 1;
	n->attr = (struct dw_attr){.ino = i, .mode = mode, .nlink = 1, .uid = req->uid, .gid = req->gid};
	now(&n->attr.mtime);
	n->attr.atime = n->attr.ctime = n->attr.btime = n->attr.mtime;
	req->notes->word[0] = i;
	atomic_store(&n->used, 1);
	atomic_fetch_add(&state->made, 1);
	fill(state, i, out);
	return 0;
}

static int mknod_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  uint32_t mode, uint32_t rdev_major, uint32_t rdev_minor, struct dw_entry *out)
{
	struct fake_state *state = state_of(fs, req);
	int error = make(state, req, parent, name, mode, out);

	if (!error) {
		state->nodes[out->node].attr.rdev_major = out->attr.rdev_major = rdev_major;
		state->nodes[out->node].attr.rdev_minor = out->attr.rdev_minor = rdev_minor;
	}
	return done(state, error);
}

static int mkdir_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  uint32_t mode, struct dw_entry *out)
{
	struct fake_state *state = state_of(fs, req);
	int error = make(state, req, parent, name, mode, out);

	done(state, error);
	if (state->dawdle)
		usleep(state->dawdle);
	return error;
}

static int create(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		  uint32_t mode, uint32_t flags, struct dw_entry *out, struct dw_open *open)
{
	struct fake_state *state = state_of(fs, req);
	int error = make(state, req, parent, name, mode, out);

	if (!error) {
		open->handle = 7000 + out->node;
		atomic_fetch_add(&state->opened, 1);
	}
	return done(state, error);
}

static int symlink_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		    const char *target, struct dw_entry *out)
{
	struct fake_state *state = state_of(fs, req);
	int error = make(state, req, parent, name, DW_MODE_LINK | 0777u, out);

	if (!error) {
		snprintf(state->nodes[out->node].target, sizeof(state->nodes[0].target), "%s", target);
		state->nodes[out->node].attr.size = out->attr.size = strlen(target);
	}
	return done(state, error);
}

static int readlink_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *out, size_t *length)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);

	if (!n || !n->target[0])
		return done(state, -EINVAL);
	*length = strlen(n->target);
	memcpy(out, n->target, *length);
	return done(state, 0);
}

static int unlink_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name)
{
	struct fake_state *state = state_of(fs, req);
	uint32_t node = find(state, parent, name);

	if (!node)
		return done(state, req->notes->word[0] ? 0 : -ENOENT);
	req->notes->word[0] = node;
	atomic_store(&state->nodes[node].used, 0);
	return done(state, 0);
}

static int rename_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t parent, const char *name,
		   uint64_t new_parent, const char *new_name, uint32_t flags)
{
	struct fake_state *state = state_of(fs, req);
	uint32_t node = find(state, parent, name), old = find(state, new_parent, new_name);

	if (!node)
		return done(state, -ENOENT);
	if (old && (flags & DW_RENAME_NOREPLACE))
		return done(state, -EEXIST);
	if (old)
		atomic_store(&state->nodes[old].used, 0);
	state->nodes[node].parent = (uint32_t)new_parent;
	snprintf(state->nodes[node].name, sizeof(state->nodes[node].name), "%s", new_name);
	return done(state, 0);
}

static int setattr(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		   const struct dw_setattr *in, struct dw_attr *out)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);

	if (!n)
		return done(state, -ESTALE);
	if ((in->valid & DW_SET_SIZE) && in->size > FAKE_CONTENT)
		return done(state, -EFBIG);
	if (in->valid & DW_SET_KILL_PRIV)
		n->attr.mode &= ~(DW_MODE_SETUID | DW_MODE_SETGID);
	if (in->valid & DW_SET_MODE)
		n->attr.mode = (n->attr.mode & DW_MODE_TYPE) | in->mode;
	if (in->valid & DW_SET_UID)
		n->attr.uid = in->uid;
	if (in->valid & DW_SET_GID)
		n->attr.gid = in->gid;
	if (in->valid & DW_SET_SIZE) {
		if (in->size > n->attr.size)
			memset(n->content + n->attr.size, 0, in->size - n->attr.size);
		n->attr.size = in->size;
	}
	if (in->valid & DW_SET_MTIME_NOW)
		now(&n->attr.mtime);
	else if (in->valid & DW_SET_MTIME)
		n->attr.mtime = in->mtime;
	*out = n->attr;
	return done(state, 0);
}

static int setxattr_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
		     const void *value, size_t size, uint32_t flags)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);

	if (!n)
		return done(state, -ESTALE);
	if (size > sizeof(n->xattr_value) || strlen(name) >= sizeof(n->xattr_name))
		return done(state, -ENOSPC);
	snprintf(n->xattr_name, sizeof(n->xattr_name), "%s", name);
	memcpy(n->xattr_value, value, size);
	n->xattr_size = (uint32_t)size;
	return done(state, 0);
}

static int getxattr_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name,
		     void *value, size_t *size)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);
	int error = 0;

	if (!n || !n->xattr_size || strcmp(n->xattr_name, name) != 0)
		return done(state, -ENODATA);
	if (*size && *size < n->xattr_size)
		error = -ERANGE;
	else if (*size)
		memcpy(value, n->xattr_value, n->xattr_size);
	*size = n->xattr_size;
	return done(state, error);
}

static int listxattr_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, char *list, size_t *size)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);
	size_t length = n && n->xattr_size ? strlen(n->xattr_name) + 1 : 0;
	int error = 0;

	if (*size && *size < length)
		error = -ERANGE;
	else if (*size && length)
		memcpy(list, n->xattr_name, length);
	*size = length;
	return done(state, error);
}

static int removexattr_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, const char *name)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);
	bool there = n && n->xattr_size && strcmp(n->xattr_name, name) == 0;

	if (there)
		n->xattr_size = 0;
	return done(state, there ? 0 : -ENODATA);
}

static int open_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint32_t flags,
		 struct dw_open *out)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);

	if (!n)
		return done(state, -ESTALE);
	if (flags & DW_O_TRUNC)
		n->attr.size = 0;
	out->handle = 7000 + node;
	out->flags = strcmp(n->name, "slow") == 0 || strcmp(n->name, "crash") == 0 ? DW_OPEN_DIRECT : 0;
	atomic_fetch_add(&state->opened, 1);
	return done(state, 0);
}

static int write_file(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		      const void *buffer, size_t size, uint64_t offset, uint32_t flags, size_t *written)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);

	if (!n)
		return done(state, -ESTALE);
	if (offset > FAKE_CONTENT || size > FAKE_CONTENT - offset)
		return done(state, -EFBIG);
	if (flags & DW_WRITE_KILL_PRIV)
		n->attr.mode &= ~(DW_MODE_SETUID | DW_MODE_SETGID);
	memcpy(n->content + offset, buffer, size);
	if (offset + size > n->attr.size)
		n->attr.size = offset + size;
	*written = size;
	return done(state, 0);
}

static void release(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle)
{
	atomic_fetch_add(&((struct fake_fs *)fs)->state->released, 1);
}

static int lseek_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  uint64_t offset, uint32_t whence, uint64_t *out)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_node *n = node_of(state, node);

	if (!n || offset >= n->attr.size)
		return done(state, -ENXIO);
	*out = whence == DW_SEEK_DATA ? offset : n->attr.size;
	return done(state, 0);
}

static struct fake_lock *conflict(struct fake_state *state, uint64_t node, const struct dw_lock *lock)
{
	for (int i = 0; i < FAKE_LOCKS; i++) {
		struct fake_lock *l = &state->locks[i];

		if (l->used && l->node == node && l->owner != lock->owner && l->start <= lock->end &&
		    lock->start <= l->end && (l->type == DW_LOCK_WRITE || lock->type == DW_LOCK_WRITE))
			return l;
	}
	return NULL;
}

static int getlk(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		 struct dw_lock *lock)
{
	struct fake_state *state = state_of(fs, req);
	struct fake_lock *l = conflict(state, node, lock);

	if (l) {
		lock->type = l->type;
		lock->start = l->start;
		lock->end = l->end;
	} else {
		lock->type = DW_LOCK_UNLOCK;
	}
	return done(state, 0);
}

static int setlk(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		 const struct dw_lock *lock, bool wait)
{
	struct fake_state *state = state_of(fs, req);

	for (int i = 0; i < FAKE_LOCKS; i++)
		if (state->locks[i].used && state->locks[i].node == node && state->locks[i].owner == lock->owner)
			state->locks[i].used = 0;
	if (lock->type == DW_LOCK_UNLOCK)
		return done(state, 0);
	while (conflict(state, node, lock)) {
		if (!wait || (req->flags & DW_REQUEST_NOWAIT))
			return done(state, -EAGAIN);
		pthread_mutex_unlock(&state->lock);
		usleep(1000);
		if (__atomic_load_n(req->interrupted, __ATOMIC_RELAXED))
			return -EINTR;
		pthread_mutex_lock(&state->lock);
	}
	for (int i = 0; i < FAKE_LOCKS; i++)
		if (!state->locks[i].used) {
			state->locks[i] = (struct fake_lock){.used = 1,
							     .node = (uint32_t)node,
							     .type = lock->type,
							     .owner = lock->owner,
							     .start = lock->start,
							     .end = lock->end};
			return done(state, 0);
		}
	return done(state, -ENOLCK);
}

static int flock_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  uint64_t owner, uint32_t type, bool wait)
{
	struct dw_lock lock = {.end = INT64_MAX, .owner = owner, .type = type};

	return setlk(fs, req, node, handle, &lock, wait);
}

static int ioctl_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		  uint32_t command, const void *in, size_t in_size, void *out, size_t *out_size, int32_t *result)
{
	if (command != (uint32_t)FAKE_IOCTL || in_size != 8 || *out_size != 8)
		return -ENOTTY;
	for (int i = 0; i < 8; i++)
		((char *)out)[i] = (char)(((const char *)in)[i] + 1);
	*result = 42;
	return 0;
}

static int poll_(struct dw_filesystem *fs, const struct dw_request *req, uint64_t node, uint64_t handle,
		 uint32_t events, uint64_t wake, uint32_t *ready)
{
	struct fake_state *state = state_of(fs, req);

	if (wake)
		atomic_store(&state->wake, wake);
	*ready = state->poll_ready & events;
	return done(state, 0);
}

static const struct dw_filesystem_ops fake_ops = {
	.size = sizeof(struct dw_filesystem_ops),
	.lookup = lookup,
	.getattr = getattr,
	.readdir = readdir,
	.read = read_file,
	.forget = forget,
	.statfs = statfs,
	.syncfs = ok,
	.readlink = readlink_,
	.mknod = mknod_,
	.mkdir = mkdir_,
	.unlink = unlink_,
	.rmdir = unlink_,
	.rename = rename_,
	.symlink = symlink_,
	.setattr = setattr,
	.setxattr = setxattr_,
	.getxattr = getxattr_,
	.listxattr = listxattr_,
	.removexattr = removexattr_,
	.open = open_,
	.create = create,
	.write = write_file,
	.release = release,
	.lseek = lseek_,
	.getlk = getlk,
	.setlk = setlk,
	.flock = flock_,
	.ioctl = ioctl_,
	.poll = poll_,
};

void fake_state_init(struct fake_state *state, bool shared)
{
	pthread_mutexattr_t attributes;
	struct fake_node *root = &state->nodes[DW_NODE_ROOT];

	pthread_mutexattr_init(&attributes);
	if (shared) {
		pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
		pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	}
	pthread_mutex_init(&state->lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
	root->used = 1;
	root->attr = (struct dw_attr){.ino = 1, .mode = DW_MODE_FOLDER | 0755u, .nlink = 2};
}

void fake_fs_init(struct fake_fs *fake, struct fake_state *state, uint32_t flags)
{
	memset(fake, 0, sizeof(*fake));
	fake->base.size = sizeof(fake->base);
	fake->ops = fake_ops;
	fake->base.ops = &fake->ops;
	fake->base.flags = flags;
	fake->state = state;
}

uint64_t fake_add(struct fake_state *state, const char *name, uint32_t mode, const char *content)
{
	struct dw_notes notes = {0};
	struct dw_request req = {.size = sizeof(req), .notes = &notes};
	struct dw_entry entry = {0};
	int error;

	pthread_mutex_lock(&state->lock);
	error = make(state, &req, DW_NODE_ROOT, name, mode, &entry);
	if (!error && content) {
		state->nodes[entry.node].attr.size = strlen(content);
		memcpy(state->nodes[entry.node].content, content, strlen(content));
	}
	pthread_mutex_unlock(&state->lock);
	return error ? 0 : entry.node;
}

struct dw_attr fake_attr(struct fake_state *state, uint64_t node)
{
	struct dw_attr attr;

	pthread_mutex_lock(&state->lock);
	attr = state->nodes[node].attr;
	pthread_mutex_unlock(&state->lock);
	return attr;
}

void fake_set_size(struct fake_state *state, uint64_t node, uint64_t size)
{
	pthread_mutex_lock(&state->lock);
	state->nodes[node].attr.size = size;
	pthread_mutex_unlock(&state->lock);
}
