/* SPDX-License-Identifier: MIT */
#include "support/runtime_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int choose(char *out, size_t size, char *error, size_t error_size)
{
	const char *own = getenv("DRIVEWAY_RUNTIME_DIR");
	const char *session = getenv("XDG_RUNTIME_DIR");
	char fallback[64];
	int length;

	if (own && *own) {
		length = snprintf(out, size, "%s", own);
	} else if (geteuid() == 0) {
		length = snprintf(out, size, "/run/driveway");
	} else if (session && *session) {
		length = snprintf(out, size, "%s/driveway", session);
	} else {
		snprintf(fallback, sizeof(fallback), "/run/user/%u", (unsigned)geteuid());
		if (access(fallback, W_OK)) {
			snprintf(error, error_size,
				 "there is no folder for the service's socket: set XDG_RUNTIME_DIR to a folder of "
				 "yours with mode 0700");
			return -ENOENT;
		}
		length = snprintf(out, size, "%s/driveway", fallback);
	}
	if (out[0] != '/') {
		snprintf(error, error_size, "the runtime folder %.200s is not an absolute path: correct %s", out,
			 own && *own ? "DRIVEWAY_RUNTIME_DIR" : "XDG_RUNTIME_DIR");
		return -EINVAL;
	}
	if ((size_t)length >= size ||
	    (size_t)length + sizeof("/" RUNTIME_FOLDER_SOCKET) > sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		snprintf(error, error_size,
			 "the runtime folder %.60s... has too long a name: set DRIVEWAY_RUNTIME_DIR to a "
			 "shorter one",
			 out);
		return -ENAMETOOLONG;
	}
	return 0;
}

int runtime_folder_find(char *out, size_t size, bool make, char *error, size_t error_size)
{
	struct stat st;
	int ret = choose(out, size, error, error_size);

	if (ret)
		return ret;
	if (make && mkdir(out, 0700) && errno != EEXIST) {
		ret = -errno;
		snprintf(error, error_size, "cannot make the runtime folder %s: %s", out, strerror(-ret));
		return ret;
	}
	if (lstat(out, &st)) {
		ret = -errno;
		snprintf(error, error_size, "cannot use the runtime folder %s: %s", out, strerror(-ret));
		return ret;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(error, error_size,
			 "the runtime folder %s is not a folder: remove it, or set "
			 "DRIVEWAY_RUNTIME_DIR to another place",
			 out);
		return -ENOTDIR;
	}
	if (st.st_uid != geteuid()) {
		snprintf(error, error_size,
			 "the runtime folder %s belongs to another user: set DRIVEWAY_RUNTIME_DIR "
			 "to a folder of yours",
			 out);
		return -EPERM;
	}
	if (st.st_mode & 077) {
		snprintf(error, error_size, "the runtime folder %s is open to other users: chmod 700 %s", out, out);
		return -EPERM;
	}
	return 0;
}
