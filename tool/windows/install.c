/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>

#include "tool/windows/command.h"

/* Take all drives away, or say that there are some. EXIT_*. */
static int remove_drives(bool force)
{
	struct fs_disk disks[FS_DISKS_MAX];
	HANDLE device;
	size_t count;
	int ret = EXIT_SUCCESS;
	DWORD error = device_open(&device);

	/* No driver runs, so there is none. */
	if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND)
		return EXIT_SUCCESS;
	if (error)
		return device_complain(error);
	error = device_disks(device, disks, &count);
	if (error)
		ret = device_complain(error);
	else if (count && !force)
		ret = complain("%c: is mapped: driveway unmap %c: first, or use --force", disks[0].letter,
			       disks[0].letter);
	for (size_t i = 0; i < count && ret == EXIT_SUCCESS; i++) {
		struct fs_delete_disk delete = {.letter = disks[i].letter, .flags = FS_DELETE_FORCE};

		error = device_control(device, IOCTL_FS_DELETE_DISK, &delete, sizeof(delete), NULL, 0, NULL);
		if (error && error != ERROR_NO_SUCH_DEVICE && error != ERROR_FILE_NOT_FOUND)
			ret = device_complain(error);
	}
	CloseHandle(device);
	return ret;
}

int command_install(int argc, char **argv)
{
	bool given;
	int ret;

	if (!read_options(argc, argv, "h", "help", &given, &ret))
		return ret;
	if (given)
		return help_print(argv[0]) ? EXIT_SUCCESS : EXIT_MISTAKE;
	if (argc != optind)
		return usage("install", "install takes no arguments");
	return services_install();
}

int command_uninstall(int argc, char **argv)
{
	bool force;
	int ret;

	if (!read_options(argc, argv, "fh", "force", &force, &ret))
		return ret;
	if (argc != optind)
		return usage("uninstall", "uninstall takes no arguments");
	ret = remove_drives(force);
	return ret == EXIT_SUCCESS ? services_uninstall() : ret;
}
