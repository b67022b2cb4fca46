/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "filesystems/local/local.h"
#include "restart.h"

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

/* An entry of a listing. Mirrored folders of the model are known anyway: their count is given back at once. */
static void check_listed(struct world *w, unsigned f, const struct command *listing, unsigned i, bool *seen)
{
	uint64_t node = listing->listed[i].node;
	unsigned n = (unsigned)(listing->listed[i].name[1] - '0');

	if (listing->listed[i].name[0] != 'n') {
		struct command *c = command(w, OP_FORGET);

		assert_int_equal(f, 0);
		c->node = node;
		c->count = 1;
		if (node != 0)
			perform(w);
		return;
	}
	assert_true(n < NAMES && w->grid[f][n] >= 0 && !seen[n]);
	seen[n] = true;
	if (node == 0)
		return;
	struct object *o = &w->objects[w->grid[f][n]];
	if (o->node != 0)
		assert_int_equal(node, o->node);
	o->node = node;
	o->lookups++;
	w->known[f][n] = true;
}

static void do_list(struct world *w)
{
	struct command *c = command(w, OP_OPENDIR), part;
	unsigned f = draw(w, FOLDERS);
	bool seen[NAMES] = {false};
	uint64_t offset = 0;

	c->node = w->folders[f];
	perform(w);
	assert_int_equal(c->result, 0);
	uint64_t handle = c->open.handle;
	do {
		c = command(w, OP_READDIR);
		c->node = w->folders[f];
		c->handle = handle;
		c->size = offset;
		c->listed_room = 1 + draw(w, LISTED_ROOM);
		perform(w);
		assert_int_equal(c->result, 0);
		part = *c;
		for (unsigned i = 0; i < part.listed_count; i++) {
			check_listed(w, f, &part, i, seen);
			offset = part.listed[i].next;
		}
	} while (part.listed_count > 0);
	for (unsigned n = 0; n < NAMES; n++)
		assert_int_equal(seen[n], w->grid[f][n] >= 0);
	c = command(w, OP_RELEASE);
	c->node = w->folders[f];
	c->handle = handle;
	perform(w);
}

void model_step(struct world *w)
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
	case OP_LIST:
		do_list(w);
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
void model_check_host(struct world *w)
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

void model_forget_all(struct world *w)
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
