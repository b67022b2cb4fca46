/* SPDX-License-Identifier: MIT */
#include "emulators/box/emulator.h"

#include "support/text.h"

#include <openssl/rand.h>

const struct setting_name setting_names[SETTING_COUNT] = {
	[SETTING_AUTO_APPROVE] = {"auto_approve", 1},
	[SETTING_RATE_LIMITS] = {"rate_limits", 0},
	[SETTING_CALLS_A_MINUTE] = {"calls_a_minute", 1000},
	[SETTING_UPLOADS_A_MINUTE] = {"uploads_a_minute", 240},
	[SETTING_CONFLICT_ARRAY] = {"conflict_array", 0},
	[SETTING_EXPONENT_NUMBERS] = {"exponent_numbers", 0},
	[SETTING_POSITION_TEXT] = {"position_text", 0},
	[SETTING_ACCESS_LIFE] = {"access_life", 3600},
	[SETTING_REFRESH_LIFE] = {"refresh_life", 60 * 86400},
	[SETTING_SESSION_LIFE] = {"session_life", 7 * 86400},
	[SETTING_DOWNLOAD_LIFE] = {"download_life", 900},
	[SETTING_SESSION_LEAST] = {"session_least", 20000000},
	[SETTING_PART_SIZE] = {"part_size", 0},
	[SETTING_POLL_SECONDS] = {"poll_seconds", 610},
	[SETTING_UPLOAD_READY_LAST] = {"commit_waits", 0},
};

bool emulator_random_hex(char *out, size_t count)
{
	unsigned char bytes[64];

	if (count > sizeof(bytes) || RAND_bytes(bytes, (int)count) != 1)
		return false;
	for (size_t i = 0; i < count; i++)
		text_format(out + 2 * i, 3, "%02x", bytes[i]);
	return true;
}
