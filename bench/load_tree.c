/* SPDX-License-Identifier: MIT */
/*
 * load_tree.c - workloads over whatever files a folder holds: stat, and open + read + close
 *
 * The folder is walked before the clock starts; every thread then takes files of the list at random, by their path.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

struct tree {
	char **paths;
	size_t count, room;
};

static int note(struct tree *tree, const char *path)
{
	if (tree->count == tree->room) {
		size_t room = tree->room ? tree->room * 2 : 1024;
		char **paths = realloc(tree->paths, room * sizeof(*paths));

		if (!paths)
			return -ENOMEM;
		tree->paths = paths;
		tree->room = room;
	}
	tree->paths[tree->count] = strdup(path);
	return tree->paths[tree->count++] ? 0 : -ENOMEM;
}

static int tree_open(struct load_thread *thread)
{
	char *root[] = {(char *)thread->options->folder, NULL};
	struct tree *tree = calloc(1, sizeof(*tree));
	FTS *walk = fts_open(root, FTS_PHYSICAL | FTS_NOSTAT | FTS_NOCHDIR, NULL);
	FTSENT *entry;
	int ret = tree && walk ? 0 : -ENOMEM;

	/* Without stat, what is no folder is told as FTS_NSOK. */
	while (ret == 0 && (entry = fts_read(walk))) {
		if (entry->fts_info == FTS_NSOK || entry->fts_info == FTS_F)
			ret = note(tree, entry->fts_path);
		else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
			ret = -entry->fts_errno;
	}
	if (walk)
		fts_close(walk);
	thread->own = tree;
	return ret == 0 && tree->count == 0 ? -ENOENT : ret;
}

static int tree_close(struct load_thread *thread)
{
	struct tree *tree = thread->own;

	for (size_t i = 0; tree && i < tree->count; i++)
		free(tree->paths[i]);
	if (tree)
		free(tree->paths);
	free(tree);
	return 0;
}

static const char *any_path(struct load_thread *thread)
{
	struct tree *tree = thread->own;

	return tree->paths[load_random(thread, tree->count)];
}

static int tree_stat_step(struct load_thread *thread)
{
	struct stat st;

	return stat(any_path(thread), &st) ? -errno : 0;
}

static int tree_read_step(struct load_thread *thread)
{
	int fd = open(any_path(thread), O_RDONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (read(fd, thread->buffer, LOAD_SMALL) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

const struct load_work load_tree_works[] = {
	{.name = "tree-stat",
	 .summary = "stat of any file below",
	 .open = tree_open,
	 .step = tree_stat_step,
	 .close = tree_close},
	{.name = "tree-read",
	 .summary = "open + read 4 KiB + close of any file below",
	 .bytes = LOAD_SMALL,
	 .open = tree_open,
	 .step = tree_read_step,
	 .close = tree_close},
	{.name = NULL},
};
