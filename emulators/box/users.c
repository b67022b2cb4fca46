/* SPDX-License-Identifier: MIT */
#include "emulators/box/answer.h"
#include "emulators/box/nodes.h"
#include "emulators/box/render.h"
#include "support/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPONENT_FROM 1000000000000000 /* Box writes what is larger with an exponent */

/* A number of bytes as Box may write it: 1.0e+18 is a valid JSON number that is no integer literal. */
static void users_number(struct request *request, int64_t number, char out[40])
{
	int digits = 17;

	if (number && (number >= EXPONENT_FROM || emulator_setting(request->emulator, SETTING_EXPONENT_NUMBERS))) {
		/* The shortest that reads back as the same. */
		for (digits = 1; digits < 17; digits++) {
			text_format(out, 40, "%.*e", digits, (double)number);
			if ((int64_t)strtod(out, NULL) == number)
				return;
		}
		text_format(out, 40, "%.*e", digits, (double)number);
		return;
	}
	text_format(out, 40, "%lld", (long long)number);
}

void users_me(struct request *request)
{
	struct user *user = &request->user;
	char amount[40], used[40], *text = NULL, *whole = NULL;
	int64_t now = clock_now(&request->emulator->clock);
	json_t *body;

	users_number(request, user->quota, amount);
	users_number(request, user->used, used);
	body = json_pack("{s:s, s:o, s:s, s:s, s:o, s:o, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "type", "user", "id",
			 render_number_text(user->id), "name", user->name, "login", user->login, "created_at",
			 render_time(now - 86400), "modified_at", render_time(now - 86400), "language", "en",
			 "timezone", "America/Los_Angeles", "max_upload_size", (json_int_t)user->upload_limit, "status",
			 "active", "job_title", "", "phone", "", "address", "", "avatar_url",
			 "https://app.box.com/api/avatar/large/1");
	text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	/* jansson writes no such numbers, so these two are put in as text. */
	if (text && asprintf(&whole, "{\"space_amount\":%s,\"space_used\":%s,%s", amount, used, text + 1) < 0)
		whole = NULL;
	if (whole)
		answer_text(request, 200, "application/json", whole);
	else
		answer_error(request, 500, NULL, "no memory");
	free(whole);
	free(text);
}
