/* SPDX-License-Identifier: MIT */
#include "tool/command.h"

#include <stdio.h>
#include <string.h>

#include "service/options.h"
#include "support/text.h"

static const char overview[] = "driveway gives any data a drive.\n"
			       "\n"
			       "  driveway map TARGET SOURCE      make SOURCE appear as a drive at the folder TARGET\n"
			       "  driveway unmap TARGET           take the drive away\n"
			       "  driveway list                   which drives there are\n"
			       "  driveway status [TARGET]        how they are\n"
			       "  driveway help [SUBCOMMAND]      more about one of these, as does --help behind it\n"
			       "  driveway version\n"
			       "\n"
			       "For a start:  mkdir -p drive && driveway map drive memory:\n";

static const char map_text[] =
	"driveway map TARGET SOURCE [-o key=value]... [--label L] [--cache DIR] [--read-only] [--foreground] [--json]\n"
	"\n"
	"  TARGET          an empty folder that exists; the drive appears there\n"
	"  SOURCE          PROVIDER:REST, such as memory:, local:/srv/data or archive:photos.zip;\n"
	"                  PROVIDER may be the path of a plug-in, ./mine.so:REST\n"
	"  -o key=value    an option, see below; may be repeated, or several with commas between them\n"
	"                  (a comma inside a value is written \\,)\n"
	"  --label L       the drive's name; without it, one is made up\n"
	"  --cache DIR     where the provider keeps what it wants to keep on disk\n"
	"  --read-only     no changes\n"
	"  --foreground    stay until interrupted, then unmap\n"
	"  --json          print what was mapped\n"
	"\n"
	"The service is started when it does not run.\n";

static const char unmap_text[] = "driveway unmap TARGET [--force]\n"
				 "\n"
				 "  TARGET          the folder of a drive\n"
				 "  --force         even when programs use it; they get errors from then on\n"
				 "\n"
				 "When the last drive is unmapped, the service ends.\n";

static const char list_text[] = "driveway list [--json]\n"
				"\n"
				"Prints the drives that are mapped, one a line.\n";

static const char status_text[] =
	"driveway status [TARGET] [--json]\n"
	"\n"
	"Prints how service and drives are: processes, transport, requests, size, errors. A drive that could\n"
	"not be opened again after a restart is tried once more.\n";

/* Lines "key=what it is\n", with the columns aligned. */
static void print_options(const char *lines)
{
	while (*lines) {
		size_t length = strcspn(lines, "\n");
		char line[256], *text;

		if (length >= sizeof(line))
			length = sizeof(line) - 1;
		memcpy(line, lines, length);
		line[length] = '\0';
		lines += strcspn(lines, "\n");
		lines += *lines == '\n';
		text = strstr(line, "  ");
		if (text) {
			*text = '\0';
			text += 2;
		}
		printf("    %-32s%s\n", line, text ? text : "");
	}
}

static void print_provider(json_t *provider)
{
	const char *name = json_string_value(json_object_get(provider, "name"));
	const char *summary = json_string_value(json_object_get(provider, "summary"));
	const char *options = json_string_value(json_object_get(provider, "options"));

	if (!name)
		return;
	printf("  %-16s%s\n", name, summary ? summary : "");
	for (const char *line = options; line && *line; line += strcspn(line, "\n"), line += *line == '\n')
		printf("    %.*s\n", (int)strcspn(line, "\n"), line);
}

/* What the service that runs knows of its providers; without one, what comes with Driveway. */
static void print_providers(void)
{
	struct jsonrpc_error error;
	json_t *result = NULL, *provider;
	size_t i;

	if (client_call("providers", json_object(), false, &result, &error)) {
		puts("Providers (with their options when a service runs):\n"
		     "  memory          a drive in memory; size=BYTES bounds it\n"
		     "  local           a folder of this machine\n"
		     "  archive         a zip, tar, 7z, iso or cpio file, read only");
		return;
	}
	puts("Providers and their options:");
	json_array_foreach(json_object_get(result, "providers"), i, provider) print_provider(provider);
	json_decref(result);
}

bool help_print(const char *command)
{
	static const struct {
		const char *name, *text;
	} texts[] = {
		{"unmap", unmap_text},
		{"list", list_text},
		{"status", status_text},
	};

	if (!command) {
		fputs(overview, stdout);
		return true;
	}
	if (strcmp(command, "map") == 0) {
		fputs(map_text, stdout);
		puts("\nOptions for every drive:");
		print_options(options_help());
		putchar('\n');
		print_providers();
		return true;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(command, texts[i].name) == 0) {
			fputs(texts[i].text, stdout);
			return true;
		}
	}
	return false;
}
