/* SPDX-License-Identifier: MIT */
/*
 * command.h - the driveway command on Windows
 *
 *    main.c        which subcommand
 *    map.c unmap.c list.c   one each; list.c has status, too
 *    install.c     install, uninstall
 *    help.c        what --help prints
 *    device.c      the control device of the driver, letters, and errors in words
 *    services.c    driver and drivewayd.exe as services of Windows
 *    json.c        writing JSON
 *    text.c        UTF-8 and UTF-16
 *
 * The words, the one-line mistakes and the exit status are those of the command on Linux (tool/words.h), as are the
 * members of what --json prints. The driver is asked, not the service: drives outlive the service. Only administrators
 * may: the driver's control device says so by its security descriptor.
 */
#ifndef TOOL_WINDOWS_COMMAND_H
#define TOOL_WINDOWS_COMMAND_H

#include <stdio.h>
#include <windows.h>

#include "driver/protocol.h"
#include "tool/words.h"

/* Errors of Win32 that the headers of MinGW lack. */
#ifndef ERROR_NO_SUCH_DEVICE
#define ERROR_NO_SUCH_DEVICE 433
#endif
#ifndef ERROR_INVALID_IMAGE_HASH
#define ERROR_INVALID_IMAGE_HASH 577
#endif

/* argv[0] is the subcommand. */
int command_map(int argc, char **argv);
int command_unmap(int argc, char **argv);
int command_list(int argc, char **argv);
int command_status(int argc, char **argv);
int command_install(int argc, char **argv);
int command_uninstall(int argc, char **argv);

/* --- device.c --- */

/* "X:" as people type it (in any case, a "\" may follow) into 'X'. false: it is none. */
bool device_letter(const char *text, uint16_t *letter);
/* Open the control device. 0, or the error of Win32. */
DWORD device_open(HANDLE *out);
/* One control code. 0, or the error of Win32; got, how much came, may be NULL. */
DWORD device_control(HANDLE device, DWORD code, const void *in, DWORD in_length, void *out, DWORD out_length,
		     DWORD *got);
/* All disks, at most FS_DISKS_MAX. 0, or the error of Win32. */
DWORD device_disks(HANDLE device, struct fs_disk disks[FS_DISKS_MAX], size_t *count);
/* Say why the device could not be opened or asked; EXIT_MISTAKE. */
int device_complain(DWORD error);
/* What Windows says of an error, in one line. */
void device_error_text(DWORD error, char *out, size_t size);

/* --- services.c --- */

/* Ours: the driver, and drivewayd.exe. */
enum services_which { SERVICES_DRIVER, SERVICES_DAEMON, SERVICES_COUNT };

/* Make (or set anew) both, from the files in the folder of this program, and start them. EXIT_*, after complaining. */
int services_install(void);
/* Stop and delete both. EXIT_*, after complaining. */
int services_uninstall(void);
/* Start what is installed and does not run, and wait for it. 0, or the error of Win32. */
DWORD services_start(void);
/* Does it run, and as which process (0: it has none). */
bool services_running(enum services_which which, DWORD *process);

/* --- text.c --- */

/* Text that ends with a NUL, for the caller to free. NULL: no memory, or it is not valid. */
wchar_t *text_wide(const char *text);
char *text_narrow(const wchar_t *wide);
/* units characters of UTF-16 into out, which has room for three bytes of each and a NUL; what cannot be said becomes
 * U+FFFD. */
void text_from(char *out, size_t size, const uint16_t *wide, size_t units);
/* The absolute form of a path, for the caller to free. NULL: no memory, or it is no path. */
char *text_full_path(const char *path);

/* --- json.c --- */

/* Indented JSON on standard output, a value at a time. name: of a member; NULL in an array and at the top. */
struct json_writer {
	unsigned depth;
	bool more; /* something stands before at this depth */
};
void json_begin(struct json_writer *writer, const char *name, char bracket); /* '{' or '[' */
void json_end(struct json_writer *writer, char bracket);		     /* '}' or ']' */
void json_text(struct json_writer *writer, const char *name, const char *text);
void json_number(struct json_writer *writer, const char *name, uint64_t number);
void json_bool(struct json_writer *writer, const char *name, bool value);
void json_null(struct json_writer *writer, const char *name);
/* EXIT_SUCCESS, or EXIT_MISTAKE after complaining that it could not be written. */
int json_finish(void);

/* --- list.c --- */

/* One drive as a value of JSON. */
void list_write_drive(struct json_writer *writer, const struct fs_disk *disk, bool status);

#endif
