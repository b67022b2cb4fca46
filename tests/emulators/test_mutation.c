/* SPDX-License-Identifier: MIT */
/*
 * Random bytes and random changes for what the emulator parses itself: multipart bodies, times, names, base64, JWTs and
 * forms. Multipart bodies also have to come out the same however they are cut into pieces.
 *
 *    box_emulator_mutation [SEED [ROUNDS]]
 */
#include "emulators/box/clock.h"
#include "emulators/box/content.h"
#include "emulators/box/item.h"
#include "emulators/box/multipart.h"
#include "emulators/box/oauth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 4096

struct random {
	uint64_t state;
};

static uint64_t random_next(struct random *random)
{
	random->state ^= random->state << 13;
	random->state ^= random->state >> 7;
	random->state ^= random->state << 17;
	return random->state;
}

/* All that the parser said of a body, in one text. */
struct heard {
	char text[2 * BODY_MAX + 4096];
	size_t size;
	bool open;
};

static void hear(struct heard *heard, const char *data, size_t size)
{
	if (size > sizeof(heard->text) - heard->size) {
		fprintf(stderr, "the parser gives more than it was given\n");
		abort();
	}
	memcpy(heard->text + heard->size, data, size);
	heard->size += size;
}

static int heard_begin(void *context, const char *name, bool is_file)
{
	struct heard *heard = context;

	if (heard->open)
		abort();
	heard->open = true;
	hear(heard, is_file ? "<F" : "<P", 2);
	hear(heard, name, strlen(name) > 20 ? 20 : strlen(name));
	hear(heard, ">", 1);
	return 0;
}

static int heard_data(void *context, const char *data, size_t size)
{
	struct heard *heard = context;

	if (!heard->open)
		abort();
	hear(heard, data, size);
	return 0;
}

static int heard_end(void *context)
{
	struct heard *heard = context;

	if (!heard->open)
		abort();
	heard->open = false;
	hear(heard, "</>", 3);
	return 0;
}

static int parse(struct random *random, const char *type, const char *body, size_t size, bool cut, struct heard *heard)
{
	static const struct multipart_calls calls = {heard_begin, heard_data, heard_end};
	struct multipart multipart;
	size_t piece;
	char *copy;
	int error;

	memset(heard, 0, sizeof(*heard));
	error = multipart_start(&multipart, type, &calls, heard);
	while (size && !error) {
		piece = cut ? 1 + random_next(random) % (size < 9 ? size : 9) : size;
		/* A block of exactly this size, so that a sanitizer sees a read beyond it. */
		copy = malloc(piece);
		if (!copy)
			abort();
		memcpy(copy, body, piece);
		error = multipart_feed(&multipart, copy, piece);
		free(copy);
		body += piece;
		size -= piece;
	}
	return error ? error : multipart_complete(&multipart);
}

static size_t mutate(struct random *random, const char *model, char *out)
{
	static const char *const bits[] = {"\r\n", "--", "--b",	  "\r\n--b",  "\r", "\n",
					   "\"",   ";",	 "name=", "\r\n\r\n", ":",  "\\"};
	size_t size = strlen(model), at, length;
	const char *bit;

	memcpy(out, model, size + 1);
	for (uint64_t changes = random_next(random) % 6; changes; changes--) {
		at = random_next(random) % (size + 1);
		switch (random_next(random) % 4) {
		case 0:
			if (at < size)
				out[at] = (char)random_next(random);
			break;
		case 1:
			length = random_next(random) % 20;
			length = length > size - at ? size - at : length;
			memmove(out + at, out + at + length, size - at - length + 1);
			size -= length;
			break;
		default:
			bit = bits[random_next(random) % (sizeof(bits) / sizeof(bits[0]))];
			length = strlen(bit);
			if (size + length >= BODY_MAX)
				break;
			memmove(out + at + length, out + at, size - at + 1);
			memcpy(out + at, bit, length);
			size += length;
		}
	}
	return size;
}

static void check_multipart(struct random *random)
{
	static const char model[] =
		"--b\r\nContent-Disposition: form-data; name=\"attributes\"\r\n\r\n{\"name\":\"x\"}\r\n"
		"--b\r\nContent-Disposition: form-data; filename=\"q;\\\"\"; name=file\r\n"
		"Content-Type: a/b\r\n\r\n\r\n--\r\n--c\r\r\n--b--\r\n";
	static const char type[] = "multipart/form-data; charset=x; boundary=\"b\"";
	static struct heard whole, pieces;
	char body[BODY_MAX + 1], header[BODY_MAX + 1];
	int first, second;
	size_t size;

	size = mutate(random, model, body);
	first = parse(random, type, body, size, false, &whole);
	second = parse(random, type, body, size, true, &pieces);
	if (first != second || whole.size != pieces.size || memcmp(whole.text, pieces.text, whole.size) != 0) {
		if (first >= 0 || second >= 0) {
			fprintf(stderr, "cut into pieces it comes out otherwise: %d %d\n", first, second);
			abort();
		}
	}
	header[mutate(random, type, header)] = '\0';
	parse(random, header, body, size, true, &pieces);
}

static void check_texts(struct random *random, struct emulator *emulator)
{
	static const char token[] =
		"eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJhIiwic3ViIjoiYiIsImF1ZCI6IngvbiJ9.c2lnbmF0dXJlLi4u";
	char text[BODY_MAX + 1], sha1[CONTENT_SHA1], again[CLOCK_TEXT], *value;
	json_t *claims = NULL,
	       *keys = json_pack("{s:s}", "k", "-----BEGIN PUBLIC KEY-----\nMFww\n-----END PUBLIC KEY-----");
	int64_t time, back;

	text[mutate(random, "2001-02-03T04:05:06.789+02:00", text)] = '\0';
	if (clock_parse(text, &time)) {
		clock_format(again, time);
		if (!clock_parse(again, &back) || back != time)
			abort();
	}
	text[mutate(random, "Ünïcode näme 🎈.txt", text)] = '\0';
	item_name_problem(text);
	value = item_fold(emulator, text);
	if (!value)
		abort();
	free(value);
	text[mutate(random, "2jmj7l5rSw0yVb/vlWAYkK/YBwk=", text)] = '\0';
	if (content_from_base64(text, sha1) && strlen(sha1) != 40)
		abort();
	text[mutate(random, "grant_type=a%20b&client_id=x+y&code=%C3%BC%&redirect_uri=%zz&=", text)] = '\0';
	for (int i = 0; i < 3; i++) {
		value = oauth_form_value(text, i == 0 ? "grant_type" : i == 1 ? "code" : "redirect_uri");
		free(value);
	}
	text[mutate(random, token, text)] = '\0';
	if (!jwt_check(text, keys, 0, &claims))
		abort();
	json_decref(claims);
	json_decref(keys);
}

int main(int count, char **words)
{
	uint64_t seed = count > 1 ? strtoull(words[1], NULL, 10) : (uint64_t)clock_monotonic();
	uint64_t rounds = count > 2 ? strtoull(words[2], NULL, 10) : 100000;
	struct random random = {seed * 2 + 1};
	struct emulator emulator = {.locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL)};

	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	while (rounds--) {
		check_multipart(&random);
		if (rounds % 16 == 0)
			check_texts(&random, &emulator);
	}
	freelocale(emulator.locale);
	return 0;
}
