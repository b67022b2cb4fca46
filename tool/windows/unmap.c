/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>

#include "tool/windows/command.h"

static int unmap(HANDLE device, const struct fs_delete_disk *delete)
{
	char text[512];
	DWORD error = device_control(device, IOCTL_FS_DELETE_DISK, delete, sizeof(*delete), NULL, 0, NULL);

	switch (error) {
	case 0:
		return EXIT_SUCCESS;
	case ERROR_NO_SUCH_DEVICE:
	case ERROR_FILE_NOT_FOUND:
	case ERROR_DEV_NOT_EXIST:
		return complain("%c: is not mapped", delete->letter);
	case ERROR_BUSY:
		return complain("%c: is in use: close what is open on it, or use --force", delete->letter);
	case ERROR_ACCESS_DENIED:
		return device_complain(error);
	default:
		device_error_text(error, text, sizeof(text));
		return complain("%c: cannot be unmapped: %s", delete->letter, text);
	}
}

int command_unmap(int argc, char **argv)
{
	struct fs_delete_disk delete = {0};
	HANDLE device;
	bool force;
	DWORD error;
	int ret;

	if (!read_options(argc, argv, "fh", "force", &force, &ret))
		return ret;
	if (argc - optind != 1)
		return usage("unmap", "unmap takes one letter, as in driveway unmap X:");
	if (!device_letter(argv[optind], &delete.letter))
		return usage("unmap", "%s is no letter of a drive, such as X:", argv[optind]);
	if (force)
		delete.flags = FS_DELETE_FORCE;
	error = device_open(&device);
	if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND)
		return complain("%s is not mapped, and the driver does not run", argv[optind]);
	if (error)
		return device_complain(error);
	ret = unmap(device, &delete);
	CloseHandle(device);
	return ret;
}
