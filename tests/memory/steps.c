/* SPDX-License-Identifier: MIT */
#include "tests/memory/steps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filesystems/memory/memory.h"
#include "tests/memory/host.h"

#define NAMES	  8
#define SIZE_MAX_ 300000u
#define BUFFER	  131072u

uint64_t random_next(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	uint64_t x = *seed;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* A node of this type that is there, starting the search at a random place; 0: none. */
static uint64_t random_node(const struct memory *memory, uint32_t type, bool looked_up, uint64_t *seed)
{
	uint32_t end = memory->root->slab_end * 64, start = (uint32_t)(random_next(seed) % end);

	for (uint32_t i = 0; i < end; i++) {
		uint32_t index = (start + i) % end;
		const struct node *node = index ? node_at(memory, index) : NULL;
		if (!node || (type && !node_is(node, type)) || (looked_up && !node->lookups))
			continue;
		return node_id(node);
	}
	return 0;
}

static uint64_t random_folder(const struct memory *memory, uint64_t *seed)
{
	uint64_t id = random_node(memory, DW_MODE_FOLDER, false, seed);

	return random_next(seed) % 3 ? id : DW_NODE_ROOT;
}

struct step step_random(struct dw_filesystem *fs, enum step_kind kind, uint64_t *seed)
{
	const struct memory *memory = memory_of(fs);
	struct step step = {.kind = kind == STEP_COUNT ? (enum step_kind)(random_next(seed) % STEP_COUNT) : kind};

	step.seed = (uint32_t)random_next(seed);
	step.node = random_node(memory, DW_MODE_FILE, false, seed);
	step.parent = random_folder(memory, seed);
	step.new_parent = random_folder(memory, seed);
	step.offset = random_next(seed) % SIZE_MAX_;
	step.size = step.kind == STEP_WRITE ? random_next(seed) % 9000 : random_next(seed) % BUFFER;
	snprintf(step.name, sizeof(step.name), "n%d", (int)(random_next(seed) % NAMES));
	snprintf(step.new_name, sizeof(step.new_name), "n%d", (int)(random_next(seed) % NAMES));
	if (step.kind == STEP_COPY) {
		step.new_parent = random_node(memory, DW_MODE_FILE, false, seed);
	} else if (step.kind == STEP_FORGET) {
		step.node = random_node(memory, 0, true, seed);
		const struct node *node = node_find(memory, step.node);
		step.size = node && node->lookups > 1 ? node->lookups - random_next(seed) % 2 : 1;
	}
	return step;
}

static bool take_all(struct dw_listing *listing, const char *name, size_t length, uint64_t next,
		     const struct dw_entry *entry)
{
	return true;
}

static int64_t node_or_error(int error, const struct dw_entry *entry)
{
	return error ? error : (int64_t)entry->node;
}

static int64_t run_contents(struct dw_filesystem *fs, const struct dw_request *req, const struct step *step,
			    uint8_t *buffer)
{
	const struct dw_filesystem_ops *ops = fs->ops;
	struct dw_setattr set = {.valid = DW_SET_SIZE, .size = step->offset};
	struct dw_attr attr;
	struct dw_open open;
	size_t done = 0;
	uint32_t seed = step->seed;
	int error;

	switch (step->kind) {
	case STEP_WRITE:
	case STEP_WRITE_LARGE:
		for (size_t i = 0; i < step->size; i += sizeof(seed)) {
			seed = seed * 1664525u + 1013904223u;
			memcpy(buffer + i, &seed, sizeof(seed));
		}
		error = ops->write(fs, req, step->node, DW_O_RDWR, buffer, step->size, step->offset, 0, &done);
		return error ? error : (int64_t)done;
	case STEP_TRUNCATE:
		error = ops->setattr(fs, req, step->node, DW_NO_HANDLE, &set, &attr);
		return error ? error : (int64_t)attr.size;
	case STEP_TRUNCATE_OPEN:
		return ops->open(fs, req, step->node, DW_O_RDWR | DW_O_TRUNC, &open);
	case STEP_ALLOCATE:
		return ops->fallocate(fs, req, step->node, DW_O_RDWR, step->offset, step->size + 1,
				      step->seed & 1 ? DW_FALLOCATE_ZERO_RANGE : 0);
	case STEP_PUNCH:
		return ops->fallocate(fs, req, step->node, DW_O_RDWR, step->offset, step->size + 1,
				      DW_FALLOCATE_PUNCH_HOLE | DW_FALLOCATE_KEEP_SIZE);
	default:
		error = ops->copy_file_range(fs, req, step->node, 0, step->offset, step->new_parent, 0,
					     step->seed % SIZE_MAX_, step->size, &done);
		return error ? error : (int64_t)done;
	}
}

int64_t step_run(struct dw_filesystem *fs, const struct dw_request *req, const struct step *step)
{
	static uint8_t buffer[BUFFER + 8];
	const struct dw_filesystem_ops *ops = fs->ops;
	struct dw_setattr mode = {.valid = DW_SET_MODE, .mode = step->seed & 0777};
	struct dw_forget forget = {.node = step->node, .count = step->size};
	struct dw_listing listing = {.attributes = true, .add = take_all};
	struct dw_entry entry = {0};
	struct dw_attr attr;
	struct dw_open open;

	switch (step->kind) {
	case STEP_LOOKUP:
		return node_or_error(ops->lookup(fs, req, step->parent, step->name, &entry), &entry);
	case STEP_CREATE:
		return node_or_error(ops->create(fs, req, step->parent, step->name, 0644, DW_O_RDWR, &entry, &open),
				     &entry);
	case STEP_MKDIR:
		return node_or_error(ops->mkdir(fs, req, step->parent, step->name, 0755, &entry), &entry);
	case STEP_SYMLINK:
		return node_or_error(ops->symlink(fs, req, step->parent, step->name, "somewhere", &entry), &entry);
	case STEP_TMPFILE:
		return node_or_error(ops->tmpfile(fs, req, step->parent, 0600, DW_O_RDWR, &entry, &open), &entry);
	case STEP_LINK:
		return node_or_error(ops->link(fs, req, step->node, step->parent, step->name, &entry), &entry);
	case STEP_UNLINK:
		return ops->unlink(fs, req, step->parent, step->name);
	case STEP_RMDIR:
		return ops->rmdir(fs, req, step->parent, step->name);
	case STEP_RENAME:
		return ops->rename(fs, req, step->parent, step->name, step->new_parent, step->new_name, 0);
	case STEP_EXCHANGE:
		return ops->rename(fs, req, step->parent, step->name, step->new_parent, step->new_name,
				   DW_RENAME_EXCHANGE);
	case STEP_CHMOD:
		return ops->setattr(fs, req, step->node, DW_NO_HANDLE, &mode, &attr);
	case STEP_SETXATTR:
		return ops->setxattr(fs, req, step->node, step->seed & 1 ? "user.a" : "user.b", step->name, 2, 0);
	case STEP_REMOVEXATTR:
		return ops->removexattr(fs, req, step->node, "user.a");
	case STEP_LIST:
		return ops->readdir(fs, req, step->parent, 0, 0, &listing);
	case STEP_FORGET:
		ops->forget(fs, req, &forget, 1);
		return 0;
	default:
		return run_contents(fs, req, step, buffer);
	}
}

static uint64_t fold(uint64_t sum, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	uint64_t word;

	for (; size >= 8; p += 8, size -= 8) {
		memcpy(&word, p, 8);
		sum = (sum ^ word) * 0x100000001b3u;
		sum ^= sum >> 29;
	}
	for (; size; size--)
		sum = (sum ^ *p++) * 0x100000001b3u;
	return sum;
}

static uint64_t fold_number(uint64_t sum, uint64_t number)
{
	return fold(sum, &number, sizeof(number));
}

uint64_t drive_fingerprint(struct dw_filesystem *fs)
{
	const struct memory *memory = memory_of(fs);
	uint64_t sum = 0xcbf29ce484222325u;
	uint8_t *buffer = malloc(BUFFER);

	assert_non_null(buffer);
	for (uint32_t i = 1; i < memory->root->slab_end * 64; i++) {
		struct node *node = node_at(memory, i);
		if (!node)
			continue;
		sum = fold_number(sum, node_id(node));
		sum = fold_number(sum, node->lookups);
		sum = fold_number(sum, (uint64_t)node->mode << 32 | node->nlink);
		sum = fold_number(sum, (uint64_t)node->uid << 32 | node->gid);
		sum = fold_number(sum, node->size);
		if (node->xattrs)
			sum = fold(sum, at(memory, node->xattrs), *(uint32_t *)at(memory, node->xattrs));
		if (node_is(node, DW_MODE_FOLDER)) {
			uint64_t slot = 0;
			uint32_t ref;
			for (; tree_next(memory, &folder_of(memory, node)->entries, &slot, &ref); slot++) {
				const struct name *name = at(memory, ref);
				sum = fold_number(sum, slot);
				sum = fold_number(sum, (uint64_t)name->generation << 32 | name->node);
				sum = fold(sum, name->text, name->length);
			}
		} else if (node_is(node, DW_MODE_FILE)) {
			size_t done;
			bool due;
			for (uint64_t offset = 0; offset < node->size; offset += done) {
				assert_int_equal(content_read((struct memory *)memory, node_id(node), buffer, BUFFER,
							      offset, &done, &due),
						 0);
				sum = fold(sum, buffer, done);
			}
		}
	}
	free(buffer);
	return sum;
}
