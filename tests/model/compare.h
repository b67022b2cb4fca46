/* SPDX-License-Identifier: MIT */
/*
 * compare.h - holding a real folder against the model
 *
 * Differences are printed, one line each, and counted in what is returned. The working directory is the
 * real tree's root.
 */
#ifndef TESTS_COMPARE_H
#define TESTS_COMPARE_H

#include "model.h"

struct compare_traits {
	bool xattrs;	     /* user.* attributes work */
	bool counts_folders; /* a folder's link count is 2 and its folders */
};

/* One node's attributes. path names it in messages; fd is an open descriptor, or -1 to ask by path. */
int compare_attributes(const struct compare_traits *traits, const char *path, int fd, const struct model_node *node);
/* A file's content, through the descriptor fd. */
int compare_content(const char *path, int fd, const struct model_node *node);
/* Everything from the root down. */
int compare_tree(const struct compare_traits *traits, const struct model *model);

#endif
