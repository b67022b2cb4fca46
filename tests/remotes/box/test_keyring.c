/* SPDX-License-Identifier: MIT */
/*
 * Logins that are sealed with a key in the Secret Service, and what is done when it is locked or not there. Runs on a
 * session bus of its own (on_keyring). usage: test_keyring EMULATOR
 */
#include "remotes/box/seal.h"
#include "tests/remotes/box/emulated.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

#define SECRET "driveway-secret"
#define CALL                                                                                                           \
	"dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets "                   \
	"org.freedesktop.Secret.Service."

static const char *program;

static int set_up(void **state)
{
	struct emulated *emulated = calloc(1, sizeof(*emulated));

	assert_non_null(emulated);
	emulated_start(emulated, program, "access_life=3600");
	*state = emulated;
	return 0;
}

static int tear_down(void **state)
{
	emulated_stop(*state);
	free(*state);
	return 0;
}

static int log_in(struct emulated *emulated, const char *keyring, struct emulated_person *person, char *error)
{
	const char *const options[] = {"auth=browser", "client-id=driveway-demo", "client-secret=" SECRET, keyring,
				       NULL};

	*person = (struct emulated_person){.follow = true};
	error[0] = 0;
	return emulated_login(emulated, options, person, error, 256);
}

/* The file as it is; whether it is sealed. No secret is in a sealed one. */
static bool look_at_file(struct emulated *emulated, char *text, size_t size)
{
	struct stat state;
	char path[160];
	ssize_t got;
	bool sealed;
	int fd;

	snprintf(path, sizeof(path), "%s/default.login", emulated->state);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &state), 0);
	assert_int_equal(state.st_mode & 07777, 0600);
	got = read(fd, text, size - 1);
	assert_true(got > 0);
	text[got] = 0;
	close(fd);
	sealed = strstr(text, "\"sealed\"") != NULL;
	if (sealed) {
		assert_null(strstr(text, SECRET));
		assert_null(strstr(text, "token"));
	} else {
		assert_non_null(strstr(text, "refresh-token"));
	}
	return sealed;
}

static int quota(struct dw_remote *remote)
{
	struct dw_remote_call call = {.size = sizeof(call)};
	struct dw_remote_quota out;

	return remote->ops->quota(remote, &call, &out);
}

static void *use(void *context)
{
	return (void *)(intptr_t)quota(context);
}

static void expire(struct emulated *emulated)
{
	json_decref(emulated_control(emulated, "POST", "clock", "{\"advance\":7200}"));
}

static void lock_keyring(void)
{
	assert_int_equal(system(CALL "Lock array:objpath:/org/freedesktop/secrets/collection/login >/dev/null"), 0);
}

static void test_seal(void **state)
{
	uint8_t key[BOX_KEY] = {1, 2, 3}, other[BOX_KEY] = {1, 2, 4};
	json_t *login = json_pack("{s:s}", "refresh-token", "marked"), *file, *back;
	char *text;

	(void)state;
	file = box_seal(login, key);
	assert_true(box_is_sealed(file));
	assert_false(box_is_sealed(login));
	back = box_unseal(file, key);
	assert_true(json_equal(back, login));
	json_decref(back);
	assert_null(box_unseal(file, other));
	assert_null(box_unseal(login, key));
	text = strdup(json_string_value(json_object_get(file, "sealed")));
	for (size_t i = 0, length = strlen(text); i < length; i++) {
		char kept = text[i];

		text[i] = kept == 'A' ? 'B' : 'A';
		json_object_set_new(file, "sealed", json_string(text));
		back = box_unseal(file, key);
		/* The last characters hold bits that mean nothing. */
		assert_true(!back || i + 4 >= length);
		json_decref(back);
		text[i] = 0;
		json_object_set_new(file, "sealed", json_string(text));
		assert_null(box_unseal(file, key));
		text[i] = kept;
	}
	free(text);
	json_decref(file);
	json_decref(login);
}

/* Whose it is stands beside the seal, and is believed only as it was sealed. */
static void test_names(void **state)
{
	uint8_t key[BOX_KEY] = {1, 2, 3};
	json_t *login = json_pack("{s:s, s:s, s:s}", "user-id", "7", "proxy", "secret", "client-secret", "secret");
	json_t *file = box_seal(login, key), *back;

	(void)state;
	assert_string_equal(json_string_value(json_object_get(file, "user-id")), "7");
	assert_int_equal(json_object_size(file), 2);
	back = box_unseal(file, key);
	assert_true(json_equal(back, login));
	json_decref(back);
	json_object_set_new(file, "api-url", json_string("http://elsewhere/2.0"));
	assert_null(box_unseal(file, key));
	json_object_del(file, "api-url");
	json_object_set_new(file, "user-id", json_string("8"));
	assert_null(box_unseal(file, key));
	json_decref(file);
	json_decref(login);
}

/* Two services renew a sealed login once and both go on; each new pair of tokens is sealed on disk. */
static void test_renewal(void **state)
{
	struct emulated *emulated = *state;
	struct emulated_person person;
	struct dw_remote *remotes[2];
	char before[8192], after[8192], error[256];
	pthread_t threads[8];

	assert_int_equal(log_in(emulated, "keyring=auto", &person, error), 0);
	assert_true(look_at_file(emulated, before, sizeof(before)));
	for (int i = 0; i < 2; i++)
		assert_int_equal(emulated_open(emulated, "", NULL, &remotes[i], error, sizeof(error)), 0);
	for (int round = 0; round < 3; round++) {
		long asked;

		expire(emulated);
		asked = emulated_count(emulated, "oauth.token");
		for (int i = 0; i < 8; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, use, remotes[i % 2]), 0);
		for (int i = 0; i < 8; i++) {
			void *result;

			pthread_join(threads[i], &result);
			assert_int_equal((intptr_t)result, 0);
		}
		assert_int_equal(emulated_count(emulated, "oauth.token") - asked, 1);
		assert_true(look_at_file(emulated, after, sizeof(after)));
		assert_string_not_equal(before, after);
		memcpy(before, after, sizeof(before));
	}
	/* A new login finds the key of the one before, so that drives that are mapped take it up. */
	assert_int_equal(log_in(emulated, "keyring=yes", &person, error), 0);
	assert_int_equal(quota(remotes[0]), 0);
	/* One that is not to be sealed is not, from then on. */
	assert_int_equal(log_in(emulated, "keyring=no", &person, error), 0);
	assert_int_equal(quota(remotes[0]), 0);
	expire(emulated);
	assert_int_equal(quota(remotes[0]), 0);
	assert_false(look_at_file(emulated, after, sizeof(after)));
	for (int i = 0; i < 2; i++)
		remotes[i]->ops->close(remotes[i]);
}

/* It is there again, unlocked. */
static void unlock_keyring(void)
{
	assert_int_equal(system("gnome-keyring-daemon --replace --daemonize --unlock --components=secrets "
				"<\"$ON_KEYRING/password\" >/dev/null 2>&1"),
			 0);
}

static bool says_locked(struct dw_remote *remote)
{
	struct dw_remote_call call = {.size = sizeof(call)};
	struct dw_remote_quota out;

	return remote->ops->quota(remote, &call, &out) == DW_REMOTE_LOGIN &&
	       strcmp(call.message, "the keyring is locked: unlock it, or run: driveway login box") == 0;
}

/* Opened while the keyring is locked, a drive is whose it was, and goes on when it is unlocked. */
static void test_unlocked(void **state)
{
	struct emulated *emulated = *state;
	struct emulated_person person;
	struct dw_remote *before, *remote;
	char text[8192], error[256];
	pthread_t threads[4];
	unsigned tries = 0;

	assert_int_equal(log_in(emulated, "keyring=yes", &person, error), 0);
	assert_int_equal(emulated_open(emulated, "", NULL, &before, error, sizeof(error)), 0);
	lock_keyring();
	assert_int_equal(emulated_open(emulated, "/folder", NULL, &remote, error, sizeof(error)), 0);
	assert_string_equal(remote->account, before->account);
	before->ops->close(before);
	assert_true(says_locked(remote));
	assert_true(look_at_file(emulated, text, sizeof(text)));
	unlock_keyring();
	while (quota(remote) && tries++ < 300)
		usleep(100000);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use, remote), 0);
	for (int i = 0; i < 4; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_int_equal((intptr_t)result, 0);
	}
	expire(emulated);
	assert_int_equal(quota(remote), 0);
	assert_true(look_at_file(emulated, text, sizeof(text)));
	remote->ops->close(remote);
}

/* The last of the tests with a keyring. */
static void test_locked(void **state)
{
	struct emulated *emulated = *state;
	struct emulated_person person;
	struct dw_remote *remote, *other;
	char text[8192], error[256];

	assert_int_equal(log_in(emulated, "keyring=yes", &person, error), 0);
	assert_int_equal(emulated_open(emulated, "", NULL, &remote, error, sizeof(error)), 0);
	lock_keyring();
	/* Who has the key goes on. */
	expire(emulated);
	assert_int_equal(quota(remote), 0);
	assert_true(look_at_file(emulated, text, sizeof(text)));
	remote->ops->close(remote);
	assert_int_equal(emulated_open(emulated, "", NULL, &other, error, sizeof(error)), 0);
	assert_true(says_locked(other));

	assert_int_equal(log_in(emulated, "keyring=yes", &person, error), -EACCES);
	assert_non_null(strstr(error, "Secret Service, which is locked"));
	assert_true(says_locked(other));
	/* A new login, which need not be sealed, is taken up, too. */
	assert_int_equal(log_in(emulated, "keyring=auto", &person, error), 0);
	assert_false(look_at_file(emulated, text, sizeof(text)));
	assert_int_equal(quota(other), 0);
	other->ops->close(other);
}

static void test_nobody(void **state)
{
	struct emulated *emulated = *state;
	struct emulated_person person;
	char text[8192], error[256];

	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere", 1);
	assert_int_equal(log_in(emulated, "keyring=yes", &person, error), -EACCES);
	assert_non_null(strstr(error, "does not run here"));
	assert_int_equal(log_in(emulated, "keyring=auto", &person, error), 0);
	assert_false(look_at_file(emulated, text, sizeof(text)));
}

int main(int count, char **words)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seal), cmocka_unit_test(test_names),
		TEST(test_renewal),	     TEST(test_unlocked),
		TEST(test_locked),	     TEST(test_nobody),
	};

	if (count != 2)
		return 2;
	program = words[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
