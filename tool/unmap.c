/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/text.h"

/* A drive of ours whose keeper is gone answers nobody: take it out of the tree. 0, or -ENOENT: there is none. */
static int unmount_dead(const char *target)
{
	struct mount_entry mount;
	struct statx stx;
	int status = -1;
	pid_t child;

	if (!mounts_find(target, &mount) || !text_starts_with(mount.type, "fuse.driveway"))
		return -ENOENT;
	/* It may be another user's, and alive. */
	if (statx(AT_FDCWD, target, AT_STATX_FORCE_SYNC, STATX_TYPE, &stx) == 0 || errno != ENOTCONN)
		return -ENOENT;
	if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	child = fork();
	if (child == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", target, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		return -EPERM;
	return 0;
}

/* The service does not know the drive, or there is none. otherwise: what to say when no dead drive is there. */
static int without_service(const char *text, const char *target, const char *otherwise)
{
	int ret = unmount_dead(target);

	if (ret == -ENOENT)
		return complain("%s", otherwise);
	if (ret)
		return complain("%s is a dead drive that you may not unmount: ask the user who mapped it", text);
	return EXIT_SUCCESS;
}

static int report_busy(const char *text, const char *target)
{
	char users[512];

	if (users_describe(target, users, sizeof(users)))
		return complain("%s is in use by: %s: close them, or use --force", text, users);
	return complain("%s is in use by processes that you cannot see, or by a mount: close them, or use --force",
			text);
}

int command_unmap(int argc, char **argv)
{
	struct jsonrpc_error error;
	char target[PATH_MAX];
	json_t *result = NULL;
	bool force;
	int ret;

	if (!read_options(argc, argv, "fh", "force", &force, &ret))
		return ret;
	if (argc - optind != 1)
		return usage("unmap", "unmap takes one folder");
	ret = paths_target(argv[optind], target);
	if (ret)
		return complain("%s is not mapped: %s", argv[optind], strerror(-ret));
	ret = client_call("unmap", json_pack("{s:s, s:b}", "target", target, "force", force), false, &result, &error);
	json_decref(result);
	if (ret == -ECONNRESET) { /* it may have ended after it was done */
		ret = client_call("unmap", json_pack("{s:s, s:b}", "target", target, "force", force), false, &result,
				  &error);
		if (ret == -ENOENT || (ret == -EREMOTEIO && error.error == -ENOENT))
			return EXIT_SUCCESS;
	}
	if (ret == -ENOENT)
		snprintf(error.message, sizeof(error.message), "%s is not mapped, and no service runs", argv[optind]);
	if (ret == -ENOENT || (ret == -EREMOTEIO && error.error == -ENOENT))
		return without_service(argv[optind], target, error.message);
	if (ret == -EREMOTEIO && error.error == -EBUSY)
		return report_busy(argv[optind], target);
	return ret ? complain("%s", error.message) : EXIT_SUCCESS;
}
