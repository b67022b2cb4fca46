/* SPDX-License-Identifier: MIT */
/*
 * model.h - the smallest file system that is right
 *
 * A tree in memory that does what the kernel promises of one, written for plainness and nothing else: a folder
 * is a list, a file an array of bytes. The model test does every operation on a real folder and here and compares
 * the two answers. Nothing here knows of drives.
 *
 * Functions return 0 or more, or a negative errno, the very one that Linux gives. Paths are relative to the root,
 * components separated by one '/'. A link's target never exists, so following one is always -ENOENT.
 * One thread.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define MODEL_SIZE_MAX 400000u /* bytes of a file; the test asks for no more */
#define MODEL_XATTRS   6

enum model_type { MODEL_FILE, MODEL_FOLDER, MODEL_LINK };

/* What is known of a node's mtime. */
enum model_time {
	MODEL_TIME_EXACT,  /* it is mtime */
	MODEL_TIME_AFTER,  /* a change at mtime or later set it */
	MODEL_TIME_UNKNOWN /* stores through a mapping: some time */
};

struct model_node;

struct model_entry {
	char name[32];
	struct model_node *node;
};

struct model_node {
	enum model_type type;
	mode_t mode;
	int links;		   /* names that lead here */
	int opens;		   /* handles; a node lives while it has either */
	struct model_node *parent; /* of a folder */
	struct model_entry *entries;
	size_t entry_count, entry_room;
	uint8_t *bytes; /* of a file; the target of a link */
	size_t size;
	enum model_time time_kind;
	struct timespec mtime;
	struct {
		char name[24]; /* empty: not set */
		uint8_t value[64];
		size_t size;
	} xattrs[MODEL_XATTRS];
};

struct model {
	struct model_node *root;
	size_t nodes;
};

int model_init(struct model *model);
void model_free(struct model *model);

/* Walk to the node; the last component is followed when it is a link and follow is true. */
int model_find(struct model *model, const char *path, bool follow, struct model_node **out);
/* open with these O_ flags (O_NOFOLLOW is always meant); counts one handle of *out. */
int model_open(struct model *model, const char *path, int flags, mode_t mode, struct model_node **out);
void model_close(struct model *model, struct model_node *node);
int model_mkdir(struct model *model, const char *path, mode_t mode);
int model_unlink(struct model *model, const char *path);
int model_rmdir(struct model *model, const char *path);
int model_rename(struct model *model, const char *from, const char *to, unsigned flags);
int model_link(struct model *model, const char *from, const char *to);
int model_symlink(struct model *model, const char *target, const char *path);
int model_resize(struct model_node *node, size_t size);
int model_write(struct model_node *node, const void *bytes, size_t size, size_t offset);
/* Returns how many bytes were copied to buffer. */
int model_read(const struct model_node *node, void *buffer, size_t size, size_t offset);
/* Zeros inside the file; never makes it longer. */
void model_zero(struct model_node *node, size_t offset, size_t size);
/* value NULL: remove. flags: XATTR_CREATE, XATTR_REPLACE. */
int model_xattr_set(struct model_node *node, const char *name, const void *value, size_t size, int flags);
int model_xattr_get(const struct model_node *node, const char *name, void *value, size_t room);
/* Folders below node. */
int model_folders_in(const struct model_node *node);
/* The node was changed now. */
void model_touch(struct model_node *node);

#endif
