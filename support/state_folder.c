/* SPDX-License-Identifier: MIT */
#include "support/state_folder.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/text.h"

int state_folder_path(char *out, size_t size, const char *provider)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	bool fits;

	if (geteuid() == 0)
		fits = text_format(out, size, "/var/lib/driveway/%s", provider);
	else if (state && state[0] == '/')
		fits = text_format(out, size, "%s/driveway/%s", state, provider);
	else if (home && home[0] == '/')
		fits = text_format(out, size, "%s/.local/state/driveway/%s", home, provider);
	else
		return -ENOENT;
	return fits ? 0 : -ENAMETOOLONG;
}

int folders_make(const char *path)
{
	char part[PATH_MAX];

	if (path[0] != '/')
		return -EINVAL;
	if (!text_copy(part, sizeof(part), path))
		return -ENAMETOOLONG;
	for (char *slash = part + 1;; slash++) {
		char end = *slash;

		if (end != '/' && end != '\0')
			continue;
		*slash = '\0';
		if (mkdir(part, 0700) && errno != EEXIST)
			return -errno;
		*slash = end;
		if (!end)
			return 0;
	}
}

int state_folder_find(char *out, size_t size, const char *provider, char *error, size_t error_size)
{
	struct stat st;
	int ret = state_folder_path(out, size, provider);

	if (ret) {
		(void)text_format(
			error, error_size,
			ret == -ENOENT
				? "there is no folder for logins: set HOME or XDG_STATE_HOME"
				: "the folder for logins has too long a name: set XDG_STATE_HOME to a shorter one");
		return ret;
	}
	ret = folders_make(out);
	if (!ret && lstat(out, &st))
		ret = -errno;
	if (ret) {
		(void)text_format(error, error_size, "cannot make the folder for logins %s: %s", out, strerror(-ret));
		return ret;
	}
	if (!S_ISDIR(st.st_mode)) {
		(void)text_format(error, error_size, "the folder for logins %s is not a folder: remove it", out);
		return -ENOTDIR;
	}
	if (st.st_uid != geteuid() || st.st_mode & 077) {
		(void)text_format(error, error_size, "the folder for logins %s is open to other users: chmod 700 %s",
				  out, out);
		return -EPERM;
	}
	return 0;
}
