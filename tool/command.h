/* SPDX-License-Identifier: MIT */
/*
 * command.h - the driveway command
 *
 *    main.c        which subcommand
 *    map.c unmap.c list.c status.c login.c   one each
 *    contents.c    pin, unpin, evict, sync
 *    cloud.c       what status prints of a drive of a cloud
 *    help.c        what --help prints
 *    client.c      talking to the service
 *    start.c       starting it when it does not run
 *    options.c     -o key=value
 *    words.c       what the command of every platform shares (words.h)
 *    paths.c       making what people type absolute
 *    users.c       who keeps a drive busy
 *    mounts.c      what the mount table says of a folder
 *
 * The command has one thread.
 */
#ifndef TOOL_COMMAND_H
#define TOOL_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/jsonrpc.h"
#include "tool/words.h"

/* argv[0] is the subcommand. */
int command_map(int argc, char **argv);
int command_unmap(int argc, char **argv);
int command_list(int argc, char **argv);
int command_status(int argc, char **argv);
int command_login(int argc, char **argv);
int command_contents(int argc, char **argv); /* pin, unpin, evict, sync */

/* main.c. One line of JSON, indented, on standard output. Steals value. */
int print_json(json_t *value);
/*
 * client.c. Call method with params (stolen; NULL, which jansson makes of bytes that are no UTF-8, is a mistake) and
 * give its result (a new reference). start: start the service when none runs. 0; -ENOENT: none runs; -ECONNRESET: the
 * connection ended without an answer, so it is not known whether the method was carried out; -EREMOTEIO: the service
 * said error; others: error->message says what.
 */
int client_call(const char *method, json_t *params, bool start, json_t **result, struct jsonrpc_error *error);
/* The same for what changes nothing: asks a second time when the service ends in the middle. target: of one drive or
 * NULL. */
int client_ask(const char *method, const char *target, json_t **result, struct jsonrpc_error *error);

/* start.c. Start drivewayd, whose socket will be in folder, and wait until it answers; out: a connected socket.
 * A negative errno with one line in error. */
int start_service(const char *folder, int *out, char *error, size_t error_size);
/* Connect to the service in folder: 0 and *out, -ENOENT (none runs, or its socket is stale), or another error. */
int start_connect(const char *folder, int *out);

/* options.c. Append what options_each finds in text to options, an array of [key, value]. false: no memory. */
bool options_add(json_t *options, const char *text);

/* cloud.c. What a drive of a cloud says of itself. */
void cloud_print(json_t *facts);

/*
 * paths.c. The absolute form of what names a drive's folder, without touching the drive itself, so that it works for
 * one that is dead or hangs. out has PATH_MAX bytes. A negative errno.
 */
int paths_target(const char *path, char *out);
/* The absolute form of SOURCE when it begins with the path of a plug-in; other sources are copied. The caller frees it.
 */
char *paths_source(const char *source);

/* mounts.c */
struct mount_entry {
	unsigned major, minor; /* device */
	char type[64];	       /* such as fuse.driveway */
};
/* What is mounted topmost at target. false: nothing. */
bool mounts_find(const char *target, struct mount_entry *out);

/*
 * users.c. Write who uses the file system at target as "PID (name), PID (name), ..." to out. Looks at what /proc
 * tells and touches no file on the drive; bounded in time. false: nobody was found.
 */
bool users_describe(const char *target, char *out, size_t size);

#endif
