/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the small texts that servers, browsers and disks hand in: headers, dates, addresses, ids, times, sealed
 * logins. The first byte says which.
 */
#include "remotes/box/item.h"
#include "remotes/box/json.h"
#include "remotes/box/loopback.h"
#include "remotes/box/seal.h"
#include "support/http/retry.h"
#include "tests/remotes/box/fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY 86400000000000ull

static void fuzz_retry(const char *text)
{
	uint64_t pause = 0;
	int64_t when = 0;

	if (http_parse_retry_after(text, 784111777, &pause) == 0)
		FUZZ_CHECK(pause <= DAY);
	if (http_parse_date(text, &when) == 0)
		FUZZ_CHECK(when >= 0 && when < 300000000000);
}

static void fuzz_range(const char *text)
{
	uint64_t first, last, total;

	if (http_parse_range(text, &first, &last, &total) == 0)
		FUZZ_CHECK(first <= last && last < total);
}

/* There and back again. */
static void fuzz_escapes(const char *text, size_t size)
{
	char *plain = http_unescape(text, size), *escaped, *again;

	if (!plain)
		return;
	FUZZ_CHECK(strlen(plain) <= size);
	escaped = http_escape(plain);
	FUZZ_CHECK(escaped);
	again = http_unescape(escaped, strlen(escaped));
	FUZZ_CHECK(again && strcmp(again, plain) == 0);
	free(plain);
	free(escaped);
	free(again);
}

static void fuzz_address(const char *text)
{
	char message[64] = "", *code = NULL;
	int result = box_loopback_parse(text, "state", &code, message, sizeof(message));

	FUZZ_CHECK(result == 0 || result == -EACCES || result == -EINVAL);
	if (result == 0)
		FUZZ_CHECK(code && *code && strstr(text, "state"));
	if (result == 0)
		free(code);
	FUZZ_CHECK(memchr(message, 0, sizeof(message)));
}

static void fuzz_names(const char *text)
{
	char version[BOX_NUMBER_MAX];
	uint8_t digest[20];
	bool hashed;

	if (box_content_parse(text, version, digest, &hashed))
		FUZZ_CHECK(box_number_valid(version));
	if (box_id_type(text))
		FUZZ_CHECK(box_number_valid(text + 1) && box_number(text, box_id_type(text)));
}

/* A time is one that can be written and is the same when it is read again. */
static void fuzz_time(const char *text)
{
	json_t *object = json_pack("{s:s}", "t", text), *back;
	struct dw_time time = box_json_time(object, "t"), again;
	char written[32];

	FUZZ_CHECK(time.nanoseconds < 1000000000);
	if (object && (time.seconds || time.nanoseconds) && box_time_text(&time, written)) {
		back = json_pack("{s:s}", "t", written);
		again = box_json_time(back, "t");
		FUZZ_CHECK(again.seconds == time.seconds);
		json_decref(back);
	}
	json_decref(object);
}

static void fuzz_json(const char *text, size_t size)
{
	json_t *json = box_json_parse(text, size);
	uint64_t number;
	char copy[8];

	box_json_number(json, "a", &number);
	if (box_json_copy(json, "a", copy, sizeof(copy)))
		FUZZ_CHECK(memchr(copy, 0, sizeof(copy)));
	box_json_at(json, "a", "b");
	json_decref(json);
}

static void fuzz_sealed(const char *text)
{
	static const uint8_t key[BOX_KEY] = {1};
	json_t *file = json_pack("{s:s}", "sealed", text);

	/* Nobody can guess a tag. */
	FUZZ_CHECK(!box_unseal(file, key));
	json_decref(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	FUZZ_CHECK(text);
	switch (data[0]) {
	case 'r':
		fuzz_retry(text);
		break;
	case 'c':
		fuzz_range(text);
		break;
	case 'e':
		fuzz_escapes((const char *)data + 1, size - 1);
		break;
	case 'a':
		fuzz_address(text);
		break;
	case 'n':
		fuzz_names(text);
		break;
	case 't':
		fuzz_time(text);
		break;
	case 's':
		fuzz_sealed(text);
		break;
	default:
		fuzz_json((const char *)data + 1, size - 1);
		break;
	}
	free(text);
	return 0;
}
