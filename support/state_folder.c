/* SPDX-License-Identifier: MIT */
#include "support/state_folder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/text.h"

static bool choose(char *out, size_t size, const char *provider)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (geteuid() == 0)
		return text_format(out, size, "/var/lib/driveway/%s", provider);
	if (state && state[0] == '/')
		return text_format(out, size, "%s/driveway/%s", state, provider);
	out[0] = '\0';
	return !home || home[0] != '/' || text_format(out, size, "%s/.local/state/driveway/%s", home, provider);
}

/* mkdir -p with mode 0700 for what is made. */
static int make_folders(char *path)
{
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		int failed;

		*slash = '\0';
		failed = mkdir(path, 0700) && errno != EEXIST ? errno : 0;
		*slash = '/';
		if (failed)
			return -failed;
	}
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

int state_folder_find(char *out, size_t size, const char *provider, char *error, size_t error_size)
{
	struct stat st;
	int ret;

	if (!choose(out, size, provider)) {
		(void)text_format(error, error_size,
				  "the folder for logins has too long a name: set XDG_STATE_HOME to a "
				  "shorter one");
		return -ENAMETOOLONG;
	}
	if (!out[0]) {
		(void)text_format(error, error_size, "there is no folder for logins: set HOME or XDG_STATE_HOME");
		return -ENOENT;
	}
	ret = make_folders(out);
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
