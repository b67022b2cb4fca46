/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "support/text.h"
#include "tool/windows/command.h"

struct wish {
	const char *target; /* as it was typed */
	uint16_t letter;    /* 0: any */
	bool read_only;
	bool json;
	const char *label;
	char *source;
	char *cache; /* absolute; NULL: not given */
	wchar_t *options;
	size_t options_length; /* characters: "key=value", each with its NUL */
};

/* Append "key=value" and a NUL. */
static bool add_option(void *context, const char *key, const char *value)
{
	struct wish *wish = context;
	size_t size = strlen(key) + strlen(value) + 2, length;
	char *text = malloc(size);
	wchar_t *wide, *more;

	if (!text)
		return false;
	snprintf(text, size, "%s=%s", key, value);
	wide = text_wide(text);
	free(text);
	if (!wide)
		return false;
	length = wcslen(wide) + 1;
	more = realloc(wish->options, (wish->options_length + length) * sizeof(*more));
	if (more) {
		memcpy(more + wish->options_length, wide, length * sizeof(*more));
		wish->options = more;
		wish->options_length += length;
	}
	free(wide);
	return more != NULL;
}

/* The service has a current folder of its own, so the path behind the provider's name is made absolute here. */
static char *full_source(const char *source)
{
	static const char *const with_paths[] = {"local:", "archive:", "folder:"};

	for (size_t i = 0; i < sizeof(with_paths) / sizeof(with_paths[0]); i++) {
		size_t length = strlen(with_paths[i]), size;
		char *path, *out;

		if (!text_starts_with(source, with_paths[i]) || !source[length])
			continue;
		path = text_full_path(source + length);
		if (!path)
			return NULL;
		size = length + strlen(path) + 1;
		out = malloc(size);
		if (out)
			snprintf(out, size, "%s%s", with_paths[i], path);
		free(path);
		return out;
	}
	return text_duplicate(source);
}

/* EXIT_SUCCESS, or the exit status after complaining. */
static int take_operands(struct wish *wish, char **operands, const char *cache)
{
	wish->target = operands[0];
	if (strcmp(operands[0], "*") != 0 && !device_letter(operands[0], &wish->letter))
		return usage("map", "%s is no letter of a drive, such as X:", operands[0]);
	if (!strchr(operands[1], ':') || operands[1][0] == ':')
		return complain("\"%s\" is no source: write PROVIDER:REST, such as memory:", operands[1]);
	if (wish->label && strpbrk(wish->label, "\\/:"))
		return complain("the label %s may not have \\, / and : in it", wish->label);
	wish->source = full_source(operands[1]);
	if (cache)
		wish->cache = text_full_path(cache);
	return wish->source && (wish->cache || !cache) ? EXIT_SUCCESS : complain("out of memory");
}

/* EXIT_SUCCESS, or the exit status after complaining; -1: help was printed. */
static int read_arguments(struct wish *wish, int argc, char **argv)
{
	enum { LABEL = 256, CACHE, READ_ONLY, JSON };
	static const struct option known[] = {
		{"label", required_argument, NULL, LABEL},
		{"cache", required_argument, NULL, CACHE},
		{"read-only", no_argument, NULL, READ_ONLY},
		{"json", no_argument, NULL, JSON},
		{"options", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *cache = NULL;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "o:h", known, NULL)) != -1) {
		switch (c) {
		case 'o':
			if (!options_each(optarg, add_option, wish))
				return complain("out of memory");
			break;
		case LABEL:
			wish->label = optarg;
			break;
		case CACHE:
			cache = optarg;
			break;
		case READ_ONLY:
			wish->read_only = true;
			break;
		case JSON:
			wish->json = true;
			break;
		case 'h':
			help_print("map");
			return -1;
		default:
			return usage("map", "%s is not an option of map, or lacks its value", argv[optind - 1]);
		}
	}
	if (argc - optind != 2)
		return usage("map", "map takes a letter and a source, as in driveway map X: memory:");
	return take_operands(wish, argv + optind, cache);
}

/* --- What goes to the driver --- */

/* Text goes behind the struct, which has room for it. */
static void put_text(struct fs_add_disk *add, struct fs_text *text, const wchar_t *from, size_t length)
{
	text->offset = add->size;
	text->length = (uint32_t)(length * sizeof(*from));
	if (length)
		memcpy((char *)add + add->size, from, text->length);
	add->size += text->length;
}

/* EXIT_SUCCESS and *out to free, or the exit status after complaining. */
static int make_request(const struct wish *wish, struct fs_add_disk **out)
{
	wchar_t *label = text_wide(wish->label ? wish->label : ""), *source = text_wide(wish->source);
	wchar_t *cache = text_wide(wish->cache ? wish->cache : "");
	struct fs_add_disk *add = NULL;
	int ret = EXIT_SUCCESS;

	if (!label || !source || !cache) {
		ret = complain("out of memory");
	} else if (wcslen(label) * sizeof(*label) > FS_LABEL_MAX) {
		ret = complain("the label is too long: at most %u characters",
			       (unsigned)(FS_LABEL_MAX / sizeof(*label)));
	} else if (wcslen(source) * sizeof(*source) > FS_TEXT_MAX || wcslen(cache) * sizeof(*cache) > FS_TEXT_MAX ||
		   wish->options_length * sizeof(*wish->options) > FS_TEXT_MAX) {
		ret = complain("source, cache folder or options are too long: at most %u characters each",
			       (unsigned)(FS_TEXT_MAX / sizeof(*label)));
	} else {
		add = calloc(1, sizeof(*add) + (wcslen(label) + wcslen(source) + wcslen(cache) + wish->options_length) *
						       sizeof(wchar_t));
		if (!add)
			ret = complain("out of memory");
	}
	if (add) {
		add->size = sizeof(*add);
		add->letter = wish->letter;
		add->flags = wish->read_only ? FS_DISK_READ_ONLY : 0;
		put_text(add, &add->label, label, wcslen(label));
		put_text(add, &add->source, source, wcslen(source));
		put_text(add, &add->cache, cache, wcslen(cache));
		put_text(add, &add->options, wish->options, wish->options_length);
	}
	free(label);
	free(source);
	free(cache);
	*out = add;
	return ret;
}

static int complain_of(const struct wish *wish, DWORD error)
{
	static const char log[] = "the service's log says more, %ProgramData%\\Driveway\\drivewayd.log";
	char text[512];

	switch (error) {
	case ERROR_ALREADY_EXISTS:
	case ERROR_FILE_EXISTS:
		return complain("%s is taken: choose another letter, or driveway unmap %s", wish->target, wish->target);
	case ERROR_NOT_READY:
		return complain("the service drivewayd does not run: as administrator, driveway install");
	case ERROR_ACCESS_DENIED:
		return device_complain(error);
	case ERROR_FILE_NOT_FOUND:
	case ERROR_PATH_NOT_FOUND:
		return complain("%s is not there, or its provider is not: %s", wish->source, log);
	case ERROR_INVALID_PARAMETER:
		return complain("%s cannot be mapped so, its options or itself are wrong: %s", wish->source, log);
	default:
		device_error_text(error, text, sizeof(text));
		return complain("%s cannot be mapped: %s: %s", wish->source, text, log);
	}
}

static DWORD send_request(HANDLE *device, const struct fs_add_disk *add, struct fs_added_disk *added)
{
	DWORD error = 0;

	if (*device == INVALID_HANDLE_VALUE)
		error = device_open(device);
	/* There is one error for a driver and for a source that are not there: tell them apart here. */
	if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND)
		error = ERROR_NOT_READY;
	return error ? error : device_control(*device, IOCTL_FS_ADD_DISK, add, add->size, added, sizeof(*added), NULL);
}

static int report(HANDLE device, const struct wish *wish, const struct fs_added_disk *added)
{
	struct json_writer writer = {0};
	struct fs_disk disks[FS_DISKS_MAX];
	size_t count;
	DWORD error;

	if (!wish->json) {
		if (!wish->letter)
			printf("%c:\n", added->letter);
		return EXIT_SUCCESS;
	}
	error = device_disks(device, disks, &count);
	if (error)
		return device_complain(error);
	for (size_t i = 0; i < count; i++) {
		if (disks[i].disk == added->disk) {
			list_write_drive(&writer, &disks[i], false);
			return json_finish();
		}
	}
	return complain("%s was unmapped at once by somebody else", wish->target);
}

static int map(const struct wish *wish)
{
	HANDLE device = INVALID_HANDLE_VALUE;
	struct fs_added_disk added = {0};
	struct fs_add_disk *add;
	DWORD error;
	int ret = make_request(wish, &add);

	if (ret != EXIT_SUCCESS)
		return ret;
	error = send_request(&device, add, &added);
	if (error == ERROR_NOT_READY && services_start() == 0)
		error = send_request(&device, add, &added);
	ret = error ? complain_of(wish, error) : report(device, wish, &added);
	if (device != INVALID_HANDLE_VALUE)
		CloseHandle(device);
	free(add);
	return ret;
}

int command_map(int argc, char **argv)
{
	struct wish wish = {0};
	int ret = read_arguments(&wish, argc, argv);

	if (ret == EXIT_SUCCESS)
		ret = map(&wish);
	free(wish.source);
	free(wish.cache);
	free(wish.options);
	return ret < 0 ? EXIT_SUCCESS : ret;
}
