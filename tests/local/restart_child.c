/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "filesystems/local/local.h"
#include "restart.h"

struct collector {
	struct dw_listing listing; /* first */
	struct command *command;
};

static bool collect(struct dw_listing *listing, const char *name, size_t length, uint64_t next,
		    const struct dw_entry *entry)
{
	struct command *c = ((struct collector *)listing)->command;

	if (name[0] == '.')
		return true;
	if (c->listed_count == c->listed_room || length >= sizeof(c->listed[0].name))
		return false;
	memcpy(c->listed[c->listed_count].name, name, length);
	c->listed[c->listed_count].name[length] = '\0';
	c->listed[c->listed_count].next = next;
	c->listed[c->listed_count].node = entry->node;
	c->listed_count++;
	return true;
}

static void run(struct dw_filesystem *fs, struct command *c)
{
	const struct dw_filesystem_ops *ops = fs->ops;
	const struct dw_request *req = &c->request.request;
	struct dw_forget forget = {.node = c->node, .count = c->count};
	struct dw_setattr set = {.valid = DW_SET_SIZE, .size = c->size};
	uint64_t timeout = DW_TIMEOUT_DEFAULT;
	struct collector collector = {.listing = {.attributes = true, .add = collect}, .command = c};
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
	case OP_OPENDIR:
		c->result = ops->opendir(fs, req, c->node, &c->open);
		break;
	case OP_READDIR:
		c->listed_count = 0;
		c->result = ops->readdir(fs, req, c->node, c->handle, c->size, &collector.listing);
		break;
	case OP_NODES:
		c->nodes = table_nodes(&local_of(fs)->table);
		c->result = 0;
		break;
	default:
		abort();
	}
}

void child_main(struct world *w)
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
