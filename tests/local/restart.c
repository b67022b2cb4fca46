/* SPDX-License-Identifier: MIT */
/*
 * Death of the process at random moments, against a model of the folder
 *
 * The parent plays the channel and the kernel: it makes up operations, hands each to a child that runs the file
 * system, kills the child at a random moment, starts another one, and hands it the same request as replayed, with its
 * notes. Every answer is compared with the model's, and at the end the folder is: each operation must have taken effect
 * exactly once. When all is closed and forgotten the table must be empty, so no count was lost or doubled either.
 *
 * The child shares the parent's descriptors (and nothing else), so that what is put into the host's keeping outlives
 * it.
 *
 * TEST_SEED sets the seed, TEST_KILLS how many deaths there shall be.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "filesystems/local/local.h"
#include "host.h"

#define FOLDERS	 3
#define NAMES	 6
#define OBJECTS	 256
#define HANDLES	 24
#define OPS_MAX	 4000000u
#define KEPT_LOW 700

enum operation {
	OP_LOOKUP,
	OP_CREATE,
	OP_MKDIR,
	OP_SYMLINK,
	OP_MKNOD,
	OP_LINK,
	OP_UNLINK,
	OP_RMDIR,
	OP_RENAME,
	OP_OPEN,
	OP_RELEASE,
	OP_FORGET,
	OP_SETXATTR,
	OP_REMOVEXATTR,
	OP_TMPFILE,
	OP_WRITE,
	OP_TRUNCATE,
	OP_GETATTR,
	OP_COUNT,
	OP_NODES, /* how many nodes does the table hold */
};

/* What parent and child share. */
struct command {
	_Atomic uint32_t state; /* 0 idle, 1 delivered, 2 answered */
	enum operation op;
	uint64_t folder, new_folder, node, handle, count, size;
	char name[16], new_name[16];
	uint32_t flags;
	struct test_request request;
	int result;
	struct dw_entry entry;
	struct dw_open open;
	struct dw_attr attr;
	uint64_t nodes;
};

struct object {
	bool used;
	uint32_t type;
	uint32_t nlink;
	uint64_t node; /* 0: not known to the kernel */
	uint64_t lookups;
	uint64_t size;
	uint32_t handles;
	bool xattr;
};

struct world {
	char path[64];
	struct test_host host;
	struct command *command;
	pid_t parent;
	pid_t child;
	int first_fd;
	unsigned random;
	unsigned kills, wanted_kills, kills_in_flight, operations;
	uint64_t folders[FOLDERS];  /* node ids */
	int grid[FOLDERS][NAMES];   /* objects, -1 none */
	bool known[FOLDERS][NAMES]; /* the kernel has looked it up and not forgotten the node */
	struct object objects[OBJECTS];
	struct {
		uint64_t id;
		int object;
	} handles[HANDLES];
	bool xattrs;
};

/* --- The child ----------------------------------------------------------------------------------------- */

static void run(struct dw_filesystem *fs, struct command *c)
{
	const struct dw_filesystem_ops *ops = fs->ops;
	const struct dw_request *req = &c->request.request;
	struct dw_forget forget = {.node = c->node, .count = c->count};
	struct dw_setattr set = {.valid = DW_SET_SIZE, .size = c->size};
	uint64_t timeout = DW_TIMEOUT_DEFAULT;
	size_t done;

	switch (c->op) {
	case OP_LOOKUP:
		c->result = ops->lookup(fs, req, c->folder, c->name, &c->entry);
		break;
	case OP_CREATE:
		c->result = ops->create(fs, req, c->folder, c->name, 0644, O_RDWR | O_CREAT | O_EXCL, &c->entry,
					&c->open);
		break;
	case OP_MKDIR:
		c->result = ops->mkdir(fs, req, c->folder, c->name, 0755, &c->entry);
		break;
	case OP_SYMLINK:
		c->result = ops->symlink(fs, req, c->folder, c->name, "../target", &c->entry);
		break;
	case OP_MKNOD:
		c->result = ops->mknod(fs, req, c->folder, c->name, DW_MODE_FIFO | 0600, 0, 0, &c->entry);
		break;
	case OP_LINK:
		c->result = ops->link(fs, req, c->node, c->folder, c->name, &c->entry);
		break;
	case OP_UNLINK:
		c->result = ops->unlink(fs, req, c->folder, c->name);
		break;
	case OP_RMDIR:
		c->result = ops->rmdir(fs, req, c->folder, c->name);
		break;
	case OP_RENAME:
		c->result = ops->rename(fs, req, c->folder, c->name, c->new_folder, c->new_name, c->flags);
		break;
	case OP_OPEN:
		c->result = ops->open(fs, req, c->node, c->flags, &c->open);
		break;
	case OP_RELEASE:
		ops->release(fs, req, c->node, c->handle);
		c->result = 0;
		break;
	case OP_FORGET:
		ops->forget(fs, req, &forget, 1);
		c->result = 0;
		break;
	case OP_SETXATTR:
		c->result = ops->setxattr(fs, req, c->node, "user.test", "value", 5, c->flags);
		break;
	case OP_REMOVEXATTR:
		c->result = ops->removexattr(fs, req, c->node, "user.test");
		break;
	case OP_TMPFILE:
		c->result = ops->tmpfile(fs, req, c->folder, 0600, O_RDWR, &c->entry, &c->open);
		break;
	case OP_WRITE:
		c->result = ops->write(fs, req, c->node, c->handle, "w", 1, c->size, 0, &done);
		break;
	case OP_TRUNCATE:
		c->result = ops->setattr(fs, req, c->node, DW_NO_HANDLE, &set, &c->attr);
		break;
	case OP_GETATTR:
		c->result = ops->getattr(fs, req, c->node, DW_NO_HANDLE, &c->attr, &timeout);
		break;
	case OP_NODES:
		c->nodes = table_nodes(&local_of(fs)->table);
		c->result = 0;
		break;
	default:
		abort();
	}
}

static void child_main(struct world *w)
{
	struct dw_filesystem *fs = test_open(&w->host, w->path, true);

	if (fs == NULL)
		_exit(1);
	for (;;) {
		while (atomic_load(&w->command->state) != 1) {
			if (getppid() != w->parent)
				_exit(0);
			sched_yield();
		}
		/* The pointers of a request belong to the process that uses it. */
		w->command->request.request.notes = &w->command->request.notes;
		w->command->request.request.interrupted = &w->command->request.interrupted;
		run(fs, w->command);
		atomic_store(&w->command->state, 2);
	}
}

static void start_child(struct world *w)
{
	w->child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (w->child == 0) {
		child_main(w);
	}
	assert_true(w->child > 0);
}

static void kill_child(struct world *w)
{
	kill(w->child, SIGKILL);
	waitpid(w->child, NULL, 0);
	close_range((unsigned)w->first_fd, KEPT_LOW - 1, 0);
	w->kills++;
}

/* --- The parent ---------------------------------------------------------------------------------------- */

static unsigned draw(struct world *w, unsigned below)
{
	w->random = w->random * 1103515245u + 12345u;
	return (w->random >> 8) % below;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Have the command done; now and then by several processes. */
static struct command *perform(struct world *w)
{
	struct command *c = w->command;
	uint32_t flags = 0;

	w->operations++;
	memset(&c->entry, 0xff, sizeof(c->entry));
	test_request(&c->request, 0);
	c->request.request.id = w->operations;
	for (;;) {
		bool deadly = w->kills < w->wanted_kills && draw(w, 3) == 0;
		uint64_t moment = now() + draw(w, 40000);

		c->request.request.flags = flags;
		atomic_store(&c->state, 1);
		while (atomic_load(&c->state) != 2) {
			if (deadly && now() >= moment)
				break;
			if (waitpid(w->child, NULL, WNOHANG) == w->child)
				fail_msg("the process died by itself in operation %d", c->op);
			if (!deadly)
				sched_yield();
		}
		if (atomic_load(&c->state) == 2 && !(deadly && draw(w, 4) == 0))
			return c;
		kill_child(w);
		bool answered = atomic_load(&c->state) == 2;
		if (!answered)
			w->kills_in_flight++;
		/* The next one begins when its request is complete again. */
		atomic_store(&c->state, 0);
		if (answered) {
			start_child(w);
			return c;
		}
		flags = DW_REQUEST_REPLAYED;
		start_child(w);
	}
}

static struct command *command(struct world *w, enum operation op)
{
	w->command->op = op;
	return w->command;
}

static int new_object(struct world *w, uint32_t type)
{
	for (int i = 0; i < OBJECTS; i++) {
		if (!w->objects[i].used) {
			w->objects[i] = (struct object){
				.used = true, .type = type, .nlink = type == DW_MODE_FOLDER ? 2 : 1};
			return i;
		}
	}
	fail_msg("too many objects");
	return -1;
}

static void settle(struct world *w, struct object *o)
{
	if (o->lookups == 0 && o->handles == 0) {
		for (unsigned f = 0; f < FOLDERS; f++) {
			for (unsigned n = 0; n < NAMES; n++) {
				if (w->grid[f][n] == o - w->objects)
					w->known[f][n] = false;
			}
		}
	}
	if (o->nlink == 0 && o->lookups == 0 && o->handles == 0)
		o->used = false;
	if (o->lookups == 0)
		o->node = 0;
}

static void lost_name(struct world *w, struct object *o)
{
	o->nlink = o->type == DW_MODE_FOLDER ? 0 : o->nlink - 1;
	settle(w, o);
}

static void check_entry(struct world *w, int index, const struct dw_entry *entry)
{
	struct object *o = &w->objects[index];

	if (o->node != 0)
		assert_int_equal(entry->node, o->node);
	o->node = entry->node;
	o->lookups++;
	assert_int_equal(entry->attr.mode & DW_MODE_TYPE, o->type);
	assert_int_equal(entry->attr.nlink, o->nlink);
	if (o->type == DW_MODE_FILE)
		assert_int_equal(entry->attr.size, o->size);
}

static bool new_handle(struct world *w, int object, uint64_t id)
{
	for (int i = 0; i < HANDLES; i++)
		assert_true(w->handles[i].id != id);
	for (int i = 0; i < HANDLES; i++) {
		if (w->handles[i].id == 0) {
			w->handles[i].id = id;
			w->handles[i].object = object;
			w->objects[object].handles++;
			return true;
		}
	}
	return false;
}

static bool handle_room(struct world *w)
{
	for (int i = 0; i < HANDLES; i++) {
		if (w->handles[i].id == 0)
			return true;
	}
	return false;
}

static int any_object(struct world *w, uint32_t type)
{
	unsigned start = draw(w, OBJECTS);

	for (unsigned i = 0; i < OBJECTS; i++) {
		struct object *o = &w->objects[(start + i) % OBJECTS];

		if (o->used && o->node != 0 && (type == 0 || o->type == type))
			return (int)((start + i) % OBJECTS);
	}
	return -1;
}

static void name_at(struct world *w, struct command *c, unsigned folder, unsigned name)
{
	c->folder = w->folders[folder];
	snprintf(c->name, sizeof(c->name), "n%u", name);
}

static void place_name(struct world *w, struct command *c, unsigned *folder, unsigned *name)
{
	*folder = draw(w, FOLDERS);
	*name = draw(w, NAMES);
	name_at(w, c, *folder, *name);
}

/* As the kernel does before it asks for a new name. */
static void look_first(struct world *w, unsigned f, unsigned n)
{
	struct command *c = command(w, OP_LOOKUP);

	name_at(w, c, f, n);
	perform(w);
	assert_int_equal(c->result, 0);
	if (w->grid[f][n] < 0)
		assert_int_equal(c->entry.node, 0);
	else
		check_entry(w, w->grid[f][n], &c->entry);
	w->known[f][n] = w->grid[f][n] >= 0;
}

static bool reachable(const struct world *w, int object)
{
	for (unsigned f = 0; f < FOLDERS; f++) {
		for (unsigned n = 0; n < NAMES; n++) {
			if (w->grid[f][n] == object && w->known[f][n])
				return true;
		}
	}
	return w->objects[object].handles > 0;
}

static void do_make(struct world *w, enum operation op)
{
	static const uint32_t types[] = {[OP_CREATE] = DW_MODE_FILE,
					 [OP_MKDIR] = DW_MODE_FOLDER,
					 [OP_SYMLINK] = DW_MODE_LINK,
					 [OP_MKNOD] = DW_MODE_FIFO};
	struct command *c = command(w, op);
	unsigned f, n;

	if (op == OP_CREATE && !handle_room(w))
		return;
	place_name(w, c, &f, &n);
	look_first(w, f, n);
	c->op = op;
	perform(w);
	if (w->grid[f][n] >= 0) {
		assert_int_equal(c->result, -EEXIST);
		return;
	}
	assert_int_equal(c->result, 0);
	w->grid[f][n] = new_object(w, types[op]);
	check_entry(w, w->grid[f][n], &c->entry);
	w->known[f][n] = true;
	if (op == OP_CREATE)
		assert_true(new_handle(w, w->grid[f][n], c->open.handle));
}

static void do_remove(struct world *w, enum operation op)
{
	struct command *c = command(w, op);
	unsigned f, n;

	place_name(w, c, &f, &n);
	perform(w);
	if (w->grid[f][n] < 0) {
		assert_int_equal(c->result, -ENOENT);
		return;
	}
	struct object *o = &w->objects[w->grid[f][n]];
	if ((o->type == DW_MODE_FOLDER) != (op == OP_RMDIR)) {
		assert_int_equal(c->result, op == OP_RMDIR ? -ENOTDIR : -EISDIR);
		return;
	}
	assert_int_equal(c->result, 0);
	w->grid[f][n] = -1;
	lost_name(w, o);
}

static int rename_expected(struct world *w, int from, int to, uint32_t flags)
{
	if (from < 0)
		return -ENOENT;
	if ((flags & DW_RENAME_EXCHANGE) && to < 0)
		return -ENOENT;
	if ((flags & DW_RENAME_NOREPLACE) && to >= 0)
		return -EEXIST;
	if (from == to || to < 0 || (flags & DW_RENAME_EXCHANGE))
		return 0;
	bool folder = w->objects[from].type == DW_MODE_FOLDER;
	if (folder != (w->objects[to].type == DW_MODE_FOLDER))
		return folder ? -ENOTDIR : -EISDIR;
	return 0;
}

static void do_rename(struct world *w)
{
	struct command *c = command(w, OP_RENAME);
	unsigned f, n, g, m;

	place_name(w, c, &f, &n);
	g = draw(w, FOLDERS);
	m = draw(w, NAMES);
	c->new_folder = w->folders[g];
	snprintf(c->new_name, sizeof(c->new_name), "n%u", m);
	c->flags = (uint32_t[]){0, 0, DW_RENAME_NOREPLACE, DW_RENAME_EXCHANGE}[draw(w, 4)];
	look_first(w, f, n);
	look_first(w, g, m);
	name_at(w, c, f, n);
	c->op = OP_RENAME;
	int from = w->grid[f][n];
	int to = w->grid[g][m];
	perform(w);
	int expected = rename_expected(w, from, to, c->flags);
	if (from < 0 && to >= 0 && (c->flags & DW_RENAME_NOREPLACE))
		assert_true(c->result == -ENOENT || c->result == -EEXIST);
	else
		assert_int_equal(c->result, expected);
	if (c->result != 0 || from == to)
		return;
	w->grid[g][m] = from;
	w->known[g][m] = true;
	w->known[f][n] = c->flags & DW_RENAME_EXCHANGE;
	w->grid[f][n] = c->flags & DW_RENAME_EXCHANGE ? to : -1;
	if (to >= 0 && !(c->flags & DW_RENAME_EXCHANGE))
		lost_name(w, &w->objects[to]);
}

static void do_link(struct world *w)
{
	struct command *c = command(w, OP_LINK);
	int object = any_object(w, draw(w, 2) ? DW_MODE_FILE : 0);
	unsigned f, n;

	if (object < 0 || w->objects[object].type == DW_MODE_FOLDER || w->objects[object].nlink == 0 ||
	    !reachable(w, object))
		return;
	c->node = w->objects[object].node;
	place_name(w, c, &f, &n);
	look_first(w, f, n);
	c->op = OP_LINK;
	perform(w);
	if (w->grid[f][n] >= 0) {
		assert_int_equal(c->result, -EEXIST);
		return;
	}
	assert_int_equal(c->result, 0);
	w->grid[f][n] = object;
	w->known[f][n] = true;
	w->objects[object].nlink++;
	check_entry(w, object, &c->entry);
}

static void do_tmpfile(struct world *w)
{
	struct command *c = command(w, OP_TMPFILE);

	if (!handle_room(w))
		return;
	c->folder = w->folders[draw(w, FOLDERS)];
	perform(w);
	if (c->result == -EOPNOTSUPP)
		return;
	assert_int_equal(c->result, 0);
	int object = new_object(w, DW_MODE_FILE);
	w->objects[object].nlink = 0;
	check_entry(w, object, &c->entry);
	assert_true(new_handle(w, object, c->open.handle));
}

static void do_handle(struct world *w, enum operation op)
{
	struct command *c = command(w, op);
	int object = any_object(w, DW_MODE_FILE);
	unsigned i = draw(w, HANDLES);

	if (op == OP_OPEN) {
		if (object < 0 || !handle_room(w) || (w->objects[object].nlink == 0 && w->objects[object].handles == 0))
			return;
		c->node = w->objects[object].node;
		c->flags = draw(w, 2) ? O_RDWR : O_RDONLY;
		perform(w);
		assert_int_equal(c->result, 0);
		assert_true(new_handle(w, object, c->open.handle));
		return;
	}
	if (w->handles[i].id == 0)
		return;
	struct object *o = &w->objects[w->handles[i].object];
	c->node = o->node;
	c->handle = w->handles[i].id;
	c->size = draw(w, 5000);
	perform(w);
	if (op == OP_RELEASE) {
		w->handles[i].id = 0;
		o->handles--;
		settle(w, o);
	} else if (c->result != -EBADF) { /* it was opened for reading */
		assert_int_equal(c->result, 0);
		if (o->size <= c->size)
			o->size = c->size + 1;
	}
}

static void do_node(struct world *w, enum operation op)
{
	struct command *c = command(w, op);
	int object = any_object(w, op == OP_FORGET || op == OP_GETATTR ? 0 : DW_MODE_FILE);

	if (object < 0)
		return;
	struct object *o = &w->objects[object];
	c->node = o->node;
	if (op == OP_FORGET) {
		c->count = draw(w, 3) ? o->lookups : 1 + draw(w, (unsigned)o->lookups);
		if (c->count == o->lookups && o->handles > 0)
			c->count--;
		if (c->count == 0)
			return;
		perform(w);
		o->lookups -= c->count;
		settle(w, o);
		return;
	}
	if (!reachable(w, object) || ((op == OP_SETXATTR || op == OP_REMOVEXATTR) && !w->xattrs))
		return;
	c->size = draw(w, 3000);
	c->flags = draw(w, 2) ? DW_XATTR_CREATE : DW_XATTR_REPLACE;
	perform(w);
	if (op == OP_GETATTR) {
		assert_int_equal(c->result, 0);
		assert_int_equal(c->attr.nlink, o->nlink);
		assert_int_equal(c->attr.mode & DW_MODE_TYPE, o->type);
	} else if (op == OP_TRUNCATE) {
		assert_int_equal(c->result, 0);
		o->size = c->size;
		assert_int_equal(c->attr.size, o->size);
	} else if (op == OP_SETXATTR) {
		assert_int_equal(c->result,
				 c->flags == DW_XATTR_CREATE ? (o->xattr ? -EEXIST : 0) : (o->xattr ? 0 : -ENODATA));
		o->xattr |= c->result == 0;
	} else {
		assert_int_equal(c->result, o->xattr ? 0 : -ENODATA);
		o->xattr = false;
	}
}

static void do_lookup(struct world *w)
{
	unsigned f, n;

	place_name(w, w->command, &f, &n);
	look_first(w, f, n);
}

static void step(struct world *w)
{
	unsigned drawn = draw(w, OP_COUNT + 6);
	enum operation op = drawn < OP_COUNT ? (enum operation)drawn : OP_FORGET;

	switch (op) {
	case OP_CREATE:
	case OP_MKDIR:
	case OP_SYMLINK:
	case OP_MKNOD:
		do_make(w, op);
		break;
	case OP_UNLINK:
	case OP_RMDIR:
		do_remove(w, op);
		break;
	case OP_RENAME:
		do_rename(w);
		break;
	case OP_LINK:
		do_link(w);
		break;
	case OP_LOOKUP:
		do_lookup(w);
		break;
	case OP_TMPFILE:
		do_tmpfile(w);
		break;
	case OP_OPEN:
	case OP_RELEASE:
	case OP_WRITE:
		do_handle(w, op);
		break;
	default:
		do_node(w, op);
		break;
	}
}

/* The folder itself, past the drive. */
static void check_host(struct world *w)
{
	static const char *const folders[FOLDERS] = {".", "A", "B"};
	char path[256];
	struct stat st;

	for (unsigned f = 0; f < FOLDERS; f++) {
		for (unsigned n = 0; n < NAMES; n++) {
			snprintf(path, sizeof(path), "%s/%s/n%u", w->path, folders[f], n);
			int err = lstat(path, &st);
			if (w->grid[f][n] < 0) {
				assert_int_equal(err, -1);
				continue;
			}
			const struct object *o = &w->objects[w->grid[f][n]];
			assert_int_equal(err, 0);
			assert_int_equal(st.st_mode & S_IFMT, o->type);
			assert_int_equal(st.st_nlink, o->nlink);
			if (o->type != DW_MODE_FILE)
				continue;
			assert_int_equal(st.st_size, o->size);
			if (w->xattrs)
				assert_int_equal(getxattr(path, "user.test", NULL, 0) >= 0, o->xattr);
		}
	}
}

static void forget_all(struct world *w)
{
	struct command *c;

	for (unsigned i = 0; i < HANDLES; i++) {
		if (w->handles[i].id == 0)
			continue;
		struct object *o = &w->objects[w->handles[i].object];
		c = command(w, OP_RELEASE);
		c->node = o->node;
		c->handle = w->handles[i].id;
		perform(w);
		o->handles--;
	}
	for (unsigned i = 0; i < OBJECTS; i++) {
		if (!w->objects[i].used || w->objects[i].lookups == 0)
			continue;
		c = command(w, OP_FORGET);
		c->node = w->objects[i].node;
		c->count = w->objects[i].lookups;
		perform(w);
	}
	c = command(w, OP_NODES);
	w->wanted_kills = 0;
	perform(w);
	assert_int_equal(c->nodes, FOLDERS);
	for (unsigned i = 0; i < HOST_KEPT_MAX; i++)
		assert_int_equal(w->host.shared->kept[i].key, 0);
	/* An id may leak when the death comes between its opening and the note of it. */
	assert_true(w->host.shared->backing_now <= w->kills);
}

static unsigned number(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static void test_restart(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[160];

	w->random = number("TEST_SEED", (unsigned)time(NULL));
	w->wanted_kills = number("TEST_KILLS", 1000);
	printf("TEST_SEED=%u\n", w->random);
	snprintf(w->path, sizeof(w->path), "/tmp/local-restart-XXXXXX");
	assert_non_null(mkdtemp(w->path));
	test_host_make(&w->host);
	w->host.shared->backing_wanted = true;
	w->command = mmap(NULL, sizeof(*w->command), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(w->command != MAP_FAILED);
	memset(w->grid, 0xff, sizeof(w->grid));
	snprintf(path, sizeof(path), "%s/A", w->path);
	assert_int_equal(mkdir(path, 0755), 0);
	w->xattrs = setxattr(path, "user.test", "", 0, 0) == 0;
	snprintf(path, sizeof(path), "%s/B", w->path);
	assert_int_equal(mkdir(path, 0755), 0);

	/* The first one makes the table, the children open it again. */
	struct dw_filesystem *fs = test_open(&w->host, w->path, false);
	struct test_request request;
	struct dw_entry entry;
	assert_non_null(fs);
	w->folders[0] = DW_NODE_ROOT;
	for (unsigned i = 1; i < FOLDERS; i++) {
		assert_int_equal(
			fs->ops->lookup(fs, test_request(&request, 0), DW_NODE_ROOT, i == 1 ? "A" : "B", &entry), 0);
		w->folders[i] = entry.node;
	}
	fs->ops->close(fs);
	w->first_fd = open("/dev/null", O_RDONLY);
	close(w->first_fd);
	w->parent = getpid();
	start_child(w);
	while (w->kills < w->wanted_kills && w->operations < OPS_MAX)
		step(w);
	check_host(w);
	forget_all(w);
	kill_child(w);
	printf("%u operations, %u deaths, %u of them inside an operation\n", w->operations, w->kills,
	       w->kills_in_flight);
	assert_true(w->kills_in_flight > w->kills / 10);

	munmap(w->command, sizeof(*w->command));
	test_host_free(&w->host);
	snprintf(path, sizeof(path), "rm -rf %s", w->path);
	assert_int_equal(system(path), 0);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_restart)};

#ifdef __SANITIZE_THREAD__
	puts("skipped: a process under ThreadSanitizer cannot be cloned with shared descriptors");
	return 77;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
