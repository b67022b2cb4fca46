/* SPDX-License-Identifier: MIT */
/*
 * runtime_folder.h - where the control socket and the state of a running service live
 *
 *    $DRIVEWAY_RUNTIME_DIR             if it is set
 *    /run/driveway                     for root
 *    $XDG_RUNTIME_DIR/driveway         for everybody else; /run/user/UID/driveway when the variable is not set
 *
 * The folder must be a real folder (no symbolic link) that belongs to the caller and that nobody else can
 * enter (0700): whoever could put a socket there could pose as the service. Linux only.
 */
#ifndef SUPPORT_RUNTIME_FOLDER_H
#define SUPPORT_RUNTIME_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#define RUNTIME_FOLDER_SOCKET "control.sock"

/*
 * Write the folder's absolute path to out (size bytes). make: create it when it is not there. -ENOENT (not
 * there and not to be made, or no place is known), -EPERM (somebody else's, or open to others), -ENOTDIR,
 * -EINVAL (not an absolute path), -ENAMETOOLONG (a socket's path would not fit), or mkdir's error. On an error, error
 * (error_size bytes) receives one line that says what is wrong and what to do.
 */
int runtime_folder_find(char *out, size_t size, bool make, char *error, size_t error_size);

#endif
