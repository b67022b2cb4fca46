/* SPDX-License-Identifier: MIT */
/*
 * client.h - what the tests of archive: share: a host that stands in for the service, and calls by path
 *
 * The host keeps memory and descriptors as the real one does, as long as the struct lives, so that
 * a test can close a drive and open it again as after the death of the service.
 */
#ifndef TESTS_ARCHIVE_CLIENT_H
#define TESTS_ARCHIVE_CLIENT_H

#include "include/driveway/filesystem.h"

struct client_host {
	struct dw_host host;
	void *memory; /* the one kept region */
	int kept_fd;  /* -1: none */
	char log[4096];
};

struct client {
	struct client_host *host;
	struct dw_filesystem *fs;
	char error[512];
};

void client_host_init(struct client_host *host);
void client_host_free(struct client_host *host);

/* options: "key=value,key=value" or NULL. Returns the provider's answer. */
int client_open(struct client *client, struct client_host *host, const char *path, const char *cache,
		const char *options, bool restarted);
void client_close(struct client *client);

/* Node of a path such as "a/b", "" is the root; a negative errno where it is not there. */
int client_find(struct client *client, const char *path, struct dw_entry *out);
/* read, called as the service does: first without waiting, then on a worker. */
int client_read(struct client *client, uint64_t node, void *buffer, size_t size, uint64_t offset, size_t *done);
/* The names of a node's attributes, one a line, as user uid sees them; a negative errno. */
int client_attributes(struct client *client, uint64_t node, uint32_t uid, char *buffer, size_t size);
/* An attribute's value. *size comes as the room in value. */
int client_attribute(struct client *client, uint64_t node, const char *name, void *value, size_t *size);
/* The names of a folder, one a line, in the order of the listing. buffer has room for size bytes. */
int client_list(struct client *client, uint64_t node, char *buffer, size_t size);
/*
 * Visit every name below folder, at most limit of them, with its attributes; reads each file from start to end (at most
 * most bytes) when buffer is not NULL. Returns the number of names. Errors of reads are counted in *errors (may be
 * NULL).
 */
size_t client_walk(struct client *client, uint64_t folder, size_t limit, void *buffer, size_t buffer_size,
		   uint64_t most, size_t *errors);

/* A new folder below TMPDIR or /tmp; remove it with client_remove. */
char *client_folder(void);
void client_remove(char *folder);

#endif
