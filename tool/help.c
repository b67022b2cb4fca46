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
			       "  driveway login PROVIDER         log in to a cloud, such as box\n"
			       "  driveway pin|unpin PATH...      keep files of a cloud here, or only when used\n"
			       "  driveway evict PATH...          give up the copy that is here\n"
			       "  driveway sync PATH...           wait until they are on the server\n"
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

static const char login_text[] =
	"driveway login PROVIDER [--account A] [-o key=value]...\n"
	"\n"
	"  PROVIDER        a cloud service, such as box\n"
	"  --account A     a name of yours for the login, when there are several; map it with -o account=A\n"
	"  -o key=value    as the provider has them, such as auth=paste where there is no browser\n"
	"\n"
	"Opens the service's page in a browser, or prints its address, and stores the login for this user.\n"
	"Drives that wait for a login go on by themselves.\n";

static const char pin_text[] =
	"driveway pin PATH...\n"
	"driveway unpin PATH...\n"
	"\n"
	"Keeps files, or folders with all that is and will be in them, on this machine: they are fetched\n"
	"now, stay when room is made, and can be read without the network. unpin ends that and deletes nothing.\n";

static const char evict_text[] =
	"driveway evict PATH...\n"
	"\n"
	"Gives up the copies of files that are on this machine; they are fetched again when they are used.\n"
	"What is not on the server yet, is open or is pinned stays.\n";

static const char sync_text[] =
	"driveway sync PATH...\n"
	"\n"
	"Waits until files, or folders with all that is in them, are on the server as they are here.\n";

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
		     "  archive         a zip, tar, 7z, iso or cpio file, read only\n"
		     "  box             a Box account (box.com); driveway login box first\n"
		     "  folder          a folder of this machine or of a network drive, with the cache in front of it");
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
		{"unmap", unmap_text}, {"list", list_text}, {"status", status_text}, {"login", login_text},
		{"pin", pin_text},     {"unpin", pin_text}, {"evict", evict_text},   {"sync", sync_text},
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
