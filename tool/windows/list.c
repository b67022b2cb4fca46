/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "support/text.h"
#include "tool/windows/command.h"
#include "version.h"

#define COLUMNS	   4
#define TEXT_ROOM  (256 * 3 + 1)
#define SIZE_WAITS 1000 /* milliseconds that a file system has to say how big it is */

static const char no_drive[] = "No drive is mapped. To map one: driveway map X: memory:";

/* A disk in words. */
struct facts {
	char target[3], source[TEXT_ROOM], label[TEXT_ROOM], provider[TEXT_ROOM], volume[TEXT_ROOM];
};

static void read_facts(struct facts *facts, const struct fs_disk *disk)
{
	char *colon;

	snprintf(facts->target, sizeof(facts->target), "%c:", disk->letter);
	text_from(facts->source, sizeof(facts->source), disk->source, disk->source_length / 2);
	text_from(facts->label, sizeof(facts->label), disk->label, disk->label_length / 2);
	text_from(facts->volume, sizeof(facts->volume), disk->volume, disk->volume_length / 2);
	text_copy(facts->provider, sizeof(facts->provider), facts->source);
	colon = strchr(facts->provider, ':');
	if (colon)
		*colon = '\0';
}

/* --- The size of a drive, which the service tells: it may be busy or gone --- */

static struct {
	wchar_t root[4];
	ULARGE_INTEGER available, total, unused;
} size_asked;

static DWORD WINAPI ask_size(void *context)
{
	return GetDiskFreeSpaceExW(size_asked.root, &size_asked.available, &size_asked.total, &size_asked.unused) != 0;
}

static bool find_size(uint16_t letter, uint64_t *total, uint64_t *left)
{
	HANDLE thread;
	DWORD code = 0;
	static bool asking; /* a thread that was given up still writes there */

	if (asking)
		return false;
	memcpy(size_asked.root, (wchar_t[]){letter, L':', L'\\', L'\0'}, sizeof(size_asked.root));
	thread = CreateThread(NULL, 0, ask_size, NULL, 0, NULL);
	if (!thread)
		return false;
	asking = WaitForSingleObject(thread, SIZE_WAITS) != WAIT_OBJECT_0 || !GetExitCodeThread(thread, &code);
	CloseHandle(thread);
	if (asking || !code)
		return false;
	*total = size_asked.total.QuadPart;
	*left = size_asked.unused.QuadPart;
	return true;
}

/* --- As JSON --- */

void list_write_drive(struct json_writer *writer, const struct fs_disk *disk, bool status)
{
	struct facts facts;
	uint64_t total, left;

	read_facts(&facts, disk);
	json_begin(writer, NULL, '{');
	json_text(writer, "target", facts.target);
	json_text(writer, "source", facts.source);
	json_text(writer, "label", facts.label);
	json_text(writer, "provider", facts.provider);
	json_bool(writer, "read_only", disk->flags & FS_DISK_READ_ONLY);
	json_text(writer, "state", "ready");
	json_text(writer, "error", "");
	json_text(writer, "transport", "ioctl");
	json_text(writer, "volume", facts.volume);
	json_number(writer, "in_flight", disk->waiting);
	json_number(writer, "open_files", disk->open_files);
	if (status && find_size(disk->letter, &total, &left)) {
		json_begin(writer, "size", '{');
		json_number(writer, "total", total);
		json_number(writer, "free", left);
		json_end(writer, '}');
	} else if (status) {
		json_null(writer, "size");
	}
	json_end(writer, '}');
}

static void write_drives(struct json_writer *writer, const struct fs_disk *disks, size_t count, bool status)
{
	json_begin(writer, "drives", '[');
	for (size_t i = 0; i < count; i++)
		list_write_drive(writer, &disks[i], status);
	json_end(writer, ']');
}

/* --- For people --- */

static const char *column_of(const struct facts *facts, size_t column, char *out, size_t size)
{
	const char *const texts[COLUMNS] = {facts->target, facts->source, facts->label, "ready"};

	text_printable(out, size, texts[column]);
	return out;
}

static void print_table(const struct fs_disk *disks, size_t count)
{
	static const char *const titles[COLUMNS] = {"TARGET", "SOURCE", "LABEL", "STATE"};
	size_t width[COLUMNS];
	struct facts facts;
	char text[TEXT_ROOM];

	for (size_t column = 0; column < COLUMNS; column++) {
		width[column] = strlen(titles[column]);
		for (size_t i = 0; i < count; i++) {
			size_t length;

			read_facts(&facts, &disks[i]);
			length = strlen(column_of(&facts, column, text, sizeof(text)));
			width[column] = length > width[column] ? length : width[column];
		}
	}
	for (size_t column = 0; column < COLUMNS; column++)
		printf("%-*s%s", column + 1 < COLUMNS ? (int)width[column] : 0, titles[column],
		       column + 1 < COLUMNS ? "  " : "\n");
	for (size_t i = 0; i < count; i++) {
		read_facts(&facts, &disks[i]);
		for (size_t column = 0; column < COLUMNS; column++)
			printf("%-*s%s", column + 1 < COLUMNS ? (int)width[column] : 0,
			       column_of(&facts, column, text, sizeof(text)), column + 1 < COLUMNS ? "  " : "\n");
	}
}

static void print_text(const char *title, const char *text)
{
	char clean[TEXT_ROOM];

	text_printable(clean, sizeof(clean), text);
	printf("  %-14s%s\n", title, clean);
}

static void print_drive(const struct fs_disk *disk)
{
	char total_text[32], left_text[32];
	struct facts facts;
	uint64_t total, left;

	read_facts(&facts, disk);
	printf("\n%s\n", facts.target);
	print_text("source", facts.source);
	print_text("label", facts.label);
	print_text("state", "ready");
	print_text("volume", facts.volume);
	if (disk->flags & FS_DISK_READ_ONLY)
		print_text("read only", "yes");
	if (find_size(disk->letter, &total, &left)) {
		write_bytes(total_text, sizeof(total_text), (int64_t)total);
		write_bytes(left_text, sizeof(left_text), (int64_t)left);
		printf("  %-14s%s, %s free\n", "size", total_text, left_text);
	}
	printf("  %-14s%u\n", "in flight", (unsigned)disk->waiting);
	printf("  %-14s%u\n", "open files", (unsigned)disk->open_files);
}

static void print_status(const struct fs_disk *disks, size_t count)
{
	DWORD process;

	if (services_running(SERVICES_DAEMON, &process))
		printf("Driveway " DRIVEWAY_VERSION ", service %lu\n", process);
	else
		puts("Driveway " DRIVEWAY_VERSION ", the service does not run: what programs ask of drives waits");
	for (size_t i = 0; i < count; i++)
		print_drive(&disks[i]);
	if (!count)
		puts(no_drive);
}

static int write_status(const struct fs_disk *disks, size_t count)
{
	struct json_writer writer = {0};
	DWORD process;

	services_running(SERVICES_DAEMON, &process);
	json_begin(&writer, NULL, '{');
	json_text(&writer, "version", DRIVEWAY_VERSION);
	json_number(&writer, "service_pid", process);
	json_text(&writer, "transport", count ? "ioctl" : "none");
	write_drives(&writer, disks, count, true);
	json_end(&writer, '}');
	return json_finish();
}

/* --- The subcommands --- */

/* The disks that there are. 0, or the error of Win32. */
static DWORD find_disks(struct fs_disk disks[FS_DISKS_MAX], size_t *count)
{
	HANDLE device;
	DWORD error = device_open(&device);

	*count = 0;
	if (error)
		return error;
	error = device_disks(device, disks, count);
	CloseHandle(device);
	return error;
}

int command_list(int argc, char **argv)
{
	struct json_writer writer = {0};
	struct fs_disk disks[FS_DISKS_MAX];
	size_t count;
	DWORD error;
	bool json;
	int ret;

	if (!read_options(argc, argv, "h", "json", &json, &ret))
		return ret;
	if (argc != optind)
		return usage("list", "list takes no arguments");
	error = find_disks(disks, &count);
	/* Where no driver runs, no drive is. */
	if (error && error != ERROR_FILE_NOT_FOUND && error != ERROR_PATH_NOT_FOUND)
		return device_complain(error);
	if (json) {
		json_begin(&writer, NULL, '{');
		write_drives(&writer, disks, count, false);
		json_end(&writer, '}');
		return json_finish();
	}
	if (count)
		print_table(disks, count);
	else
		puts(no_drive);
	return EXIT_SUCCESS;
}

int command_status(int argc, char **argv)
{
	struct fs_disk disks[FS_DISKS_MAX];
	uint16_t letter;
	size_t count;
	DWORD error;
	bool json;
	int ret;

	if (!read_options(argc, argv, "h", "json", &json, &ret))
		return ret;
	if (argc - optind > 1)
		return usage("status", "status takes at most one letter");
	if (optind < argc && !device_letter(argv[optind], &letter))
		return usage("status", "%s is no letter of a drive, such as X:", argv[optind]);
	error = find_disks(disks, &count);
	if (error)
		return device_complain(error);
	if (optind < argc) {
		size_t i = 0;

		while (i < count && disks[i].letter != letter)
			i++;
		if (i == count)
			return complain("%s is not mapped", argv[optind]);
		disks[0] = disks[i];
		count = 1;
	}
	if (json)
		return write_status(disks, count);
	print_status(disks, count);
	return EXIT_SUCCESS;
}
