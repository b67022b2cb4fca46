/* SPDX-License-Identifier: MIT */
/*
 * state_folder.h - where a provider keeps what must outlive the cache: logins
 *
 *    /var/lib/driveway/PROVIDER                for root
 *    $XDG_STATE_HOME/driveway/PROVIDER         for everybody else; ~/.local/state/driveway/PROVIDER when it is not set
 *
 * Linux only. Any thread, as long as nobody changes the environment.
 */
#ifndef SUPPORT_STATE_FOLDER_H
#define SUPPORT_STATE_FOLDER_H

#include <stddef.h>

/* Make the folder path, which is absolute, and what is above it, with mode 0700 where it has to be made. -EINVAL,
 * -ENAMETOOLONG, or mkdir's error. */
int folders_make(const char *path);
/* Where it is, without making it. -ENOENT (no home is known), -ENAMETOOLONG. */
int state_folder_path(char *out, size_t size, const char *provider);
/*
 * Write the folder's absolute path to out (size bytes) and make it, with mode 0700, when it is not there. -ENOENT (no
 * home is known), -ENAMETOOLONG, -EPERM (somebody else's, or open to others), -ENOTDIR, or mkdir's error. error
 * (error_size bytes) receives one line that says what is wrong and what to do.
 */
int state_folder_find(char *out, size_t size, const char *provider, char *error, size_t error_size);

#endif
