/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "tool/windows/command.h"

static const char overview[] = "driveway gives any data a drive.\n"
			       "\n"
			       "  driveway map X: SOURCE          make SOURCE appear as the drive X:\n"
			       "  driveway unmap X:               take the drive away\n"
			       "  driveway list                   which drives there are\n"
			       "  driveway status [X:]            how they are\n"
			       "  driveway install                install driver and service, and start them\n"
			       "  driveway uninstall              the contrary\n"
			       "  driveway help [SUBCOMMAND]      more about one of these, as does --help behind it\n"
			       "  driveway version\n"
			       "\n"
			       "Only administrators may do that. For a start:  driveway map X: memory:\n";

static const char map_text[] =
	"driveway map X: SOURCE [-o key=value]... [--label L] [--cache DIR] [--read-only] [--json]\n"
	"\n"
	"  X:              a letter that is free; *: the first one from Z: down, which is printed\n"
	"  SOURCE          PROVIDER:REST, such as memory:; the service has the providers\n"
	"  -o key=value    an option of the provider; may be repeated, or several with commas between them\n"
	"                  (a comma inside a value is written \\,)\n"
	"  --label L       the drive's name; without it, one is made up\n"
	"  --cache DIR     where the provider keeps what it wants to keep on disk; C:\\cache\n"
	"  --read-only     no changes\n"
	"  --json          print what was mapped\n"
	"\n"
	"Driver and service are started when they are installed and do not run.\n"
	"  -o size=BYTES   of memory: bounds it\n";

static const char unmap_text[] = "driveway unmap X: [--force]\n"
				 "\n"
				 "  X:              the letter of a drive\n"
				 "  --force         even when programs use it; they get errors from then on\n";

static const char list_text[] = "driveway list [--json]\n"
				"\n"
				"Prints the drives that are mapped, one a line.\n";

static const char status_text[] =
	"driveway status [X:] [--json]\n"
	"\n"
	"Prints how service and drives are: the process, size, requests under way, open files.\n";

static const char install_text[] =
	"driveway install\n"
	"\n"
	"Makes the driver, driveway.sys, and the service, drivewayd.exe, services of Windows and starts them. Both\n"
	"are taken from the folder of this program. The service starts with Windows, and again when it dies.\n"
	"A second time: takes the files from where this program is now.\n";

static const char uninstall_text[] =
	"driveway uninstall [--force]\n"
	"\n"
	"  --force         even when drives are mapped; they are taken away\n"
	"\n"
	"Stops driver and service, and removes them from the services of Windows. Files stay.\n";

bool help_print(const char *command)
{
	static const struct {
		const char *name, *text;
	} texts[] = {
		{"map", map_text},	 {"unmap", unmap_text},	    {"list", list_text},
		{"status", status_text}, {"install", install_text}, {"uninstall", uninstall_text},
	};

	if (!command) {
		fputs(overview, stdout);
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
