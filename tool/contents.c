/* SPDX-License-Identifier: MIT */
/*
 * contents.c - pin, unpin, evict, sync: what a drive of a cloud keeps here of its files
 *
 * Each is a thin word for an extended attribute of the file or folder, which the drive itself answers
 * (docs/semantics.md); so scripts and file managers can do the same without this command.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "tool/command.h"

struct verb {
	const char *name;
	const char *attribute;
	const char *value;
};

static const struct verb verbs[] = {
	{"pin", "user.driveway.pinned", "1"},
	{"unpin", "user.driveway.pinned", "0"},
	{"evict", "user.driveway.evict", "1"},
	{"sync", "user.driveway.sync", "1"},
};

static int explain(const struct verb *verb, const char *path, int error)
{
	switch (error) {
	case EOPNOTSUPP:
	case ENODATA:
	case EPERM:
		return complain("cannot %s %s: it is not on a drive that keeps its files on a server", verb->name,
				path);
	case EBUSY:
		return complain("cannot %s %s: it is in use, or not on the server yet: close it, then driveway sync %s",
				verb->name, path, path);
	case EINTR:
		return complain("interrupted: %s is still being sent, see driveway status", path);
	case EACCES:
		return complain("cannot %s %s: the login has lapsed or gives no right to it: see driveway status",
				verb->name, path);
	case ETIMEDOUT:
		return complain("cannot %s %s: the service does not answer: see driveway status", verb->name, path);
	default:
		return complain("cannot %s %s: %s: see driveway status", verb->name, path, strerror(error));
	}
}

int command_contents(int argc, char **argv)
{
	const struct verb *verb = NULL;
	int first = 1, ret = EXIT_SUCCESS;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[0], verbs[i].name) == 0)
			verb = &verbs[i];
	}
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return help_print(verb->name) ? EXIT_SUCCESS : EXIT_MISTAKE;
	if (argc > 1 && strcmp(argv[1], "--") == 0)
		first = 2;
	else if (argc > 1 && argv[1][0] == '-' && argv[1][1])
		return usage(verb->name, "%s is not an option of %s", argv[1], verb->name);
	if (first >= argc)
		return usage(verb->name, "%s takes the paths of files or folders", verb->name);
	for (int i = first; i < argc; i++) {
		/* Another file system would store the attribute and do nothing. */
		if (getxattr(argv[i], "user.driveway.state", NULL, 0) < 0 ||
		    setxattr(argv[i], verb->attribute, verb->value, strlen(verb->value), 0))
			ret = explain(verb, argv[i], errno);
	}
	return ret;
}
