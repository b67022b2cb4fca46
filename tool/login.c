/* SPDX-License-Identifier: MIT */
/*
 * login.c - log in to a cloud service
 *
 * The provider does it (dw_remote_provider.login, in this process); here stand the browser and the terminal that it
 * needs. What it stores below the state folder is taken up by drives that are mapped, without a word to them.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <driveway/remote.h>

#include "service/plugin.h"
#include "support/state_folder.h"
#include "support/text.h"
#include "tool/command.h"

struct login_wish {
	const char *provider;
	const char *account;
	json_t *options;
};

static volatile uint32_t interrupted;

static void interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

/* In a child of its own, so that a browser that stays does not hold us up. */
static void open_browser(const char *url)
{
	pid_t child = fork();
	int nothing;

	if (child < 0)
		return;
	if (child == 0) {
		if (fork() != 0)
			_exit(0);
		setsid();
		nothing = open("/dev/null", O_RDWR);
		if (nothing >= 0) {
			dup2(nothing, STDIN_FILENO);
			dup2(nothing, STDOUT_FILENO);
			dup2(nothing, STDERR_FILENO);
		}
		execlp("xdg-open", "xdg-open", url, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(child, NULL, 0);
}

static int browse(const struct dw_remote_login *login, const char *url)
{
	const char *display = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");
	char clean[4096];

	(void)login;
	text_printable(clean, sizeof(clean), url);
	printf("Open this page in a browser and allow the access:\n\n  %s\n\n", clean);
	fflush(stdout);
	if ((display && *display) || (wayland && *wayland))
		open_browser(url);
	return 0;
}

static void say(const struct dw_remote_login *login, const char *line)
{
	char clean[COMMAND_LINE_MAX];

	(void)login;
	text_printable(clean, sizeof(clean), line);
	puts(clean);
	fflush(stdout);
}

static int ask(const struct dw_remote_login *login, const char *question, bool secret, char **answer)
{
	struct termios shown, hidden;
	bool hide = secret && tcgetattr(STDIN_FILENO, &shown) == 0;
	size_t room = 0;
	ssize_t length;

	(void)login;
	*answer = NULL;
	printf("%s: ", question);
	fflush(stdout);
	if (hide) {
		hidden = shown;
		hidden.c_lflag &= ~(tcflag_t)ECHO;
		hide = tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
	}
	length = getline(answer, &room, stdin);
	if (hide) {
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
		putchar('\n');
	}
	if (length < 0 || interrupted) {
		free(*answer);
		*answer = NULL;
		return -ECANCELED;
	}
	while (length > 0 && ((*answer)[length - 1] == '\n' || (*answer)[length - 1] == '\r'))
		(*answer)[--length] = '\0';
	return 0;
}

static int find_provider(const char *name, const struct dw_remote_provider **out)
{
	char *folders[PLUGIN_FOLDERS_MAX + 1], path[PATH_MAX], reason[512];
	const void *symbol = NULL;
	int ret = plugin_folders(folders);

	if (ret)
		return complain("out of memory");
	ret = -ENOENT;
	for (size_t i = 0; folders[i] && ret == -ENOENT && !strchr(name, '/'); i++) {
		if (text_format(path, sizeof(path), "%s/%s" PLUGIN_SUFFIX, folders[i], name))
			ret = plugin_load(path, DW_REMOTE_SYMBOL, &symbol, reason, sizeof(reason));
	}
	plugin_folders_free(folders);
	if (ret == -ENOENT)
		return complain("there is no provider \"%s\" to log in to: see driveway map --help", name);
	if (ret)
		return complain("there is nothing to log in to with %s: %s", name, reason);
	*out = symbol;
	if ((*out)->size < sizeof(**out) || (*out)->version >> 16 != DW_REMOTE_API_VERSION >> 16)
		return complain("%s was built for another version of Driveway: build it again with these headers",
				path);
	if (!(*out)->login)
		return complain("%s needs no login: driveway map DIR %s: maps it", name, name);
	return EXIT_SUCCESS;
}

static int list_options(json_t *pairs, struct dw_option **out, size_t *count)
{
	struct dw_option *options = calloc(json_array_size(pairs) + 1, sizeof(*options));
	json_t *pair;
	size_t i;

	if (!options)
		return complain("out of memory");
	json_array_foreach(pairs, i, pair)
	{
		options[i].key = json_string_value(json_array_get(pair, 0));
		options[i].value = json_string_value(json_array_get(pair, 1));
	}
	*out = options;
	*count = json_array_size(pairs);
	return EXIT_SUCCESS;
}

static int log_in(const struct login_wish *wish)
{
	const struct dw_remote_provider *provider = NULL;
	const struct sigaction on_interrupt = {.sa_handler = interrupt};
	struct dw_option *options = NULL;
	struct dw_remote_login login = {.size = sizeof(login)};
	char state[PATH_MAX], error[512] = "";
	int ret = find_provider(wish->provider, &provider);

	if (ret)
		return ret;
	if (state_folder_find(state, sizeof(state), provider->name, error, sizeof(error)))
		return complain("%s", error);
	ret = list_options(wish->options, &options, &login.option_count);
	if (ret)
		return ret;
	login.account = wish->account;
	login.state = state;
	login.options = options;
	login.browse = browse;
	login.ask = ask;
	login.say = say;
	login.cancelled = &interrupted;
	sigaction(SIGINT, &on_interrupt, NULL);
	sigaction(SIGTERM, &on_interrupt, NULL);
	ret = provider->login(provider, &login, error, sizeof(error));
	free(options);
	if (ret == 0)
		return EXIT_SUCCESS;
	if (ret == -ECANCELED)
		return complain("the login was not finished");
	return complain("%s", error[0] ? error : "the login failed");
}

int command_login(int argc, char **argv)
{
	enum { ACCOUNT = 256 };
	static const struct option known[] = {
		{"account", required_argument, NULL, ACCOUNT},
		{"options", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct login_wish wish = {.account = "", .options = json_array()};
	int c, ret = EXIT_SUCCESS;
	bool help = false;

	if (!wish.options)
		return complain("out of memory");
	opterr = 0;
	while (ret == EXIT_SUCCESS && !help && (c = getopt_long(argc, argv, "o:h", known, NULL)) != -1) {
		if (c == ACCOUNT)
			wish.account = optarg;
		else if (c == 'h')
			help = true;
		else if (c != 'o')
			ret = usage("login", "%s is not an option of login, or lacks its value", argv[optind - 1]);
		else if (!options_add(wish.options, optarg))
			ret = complain("out of memory");
	}
	if (help)
		ret = help_print("login") ? EXIT_SUCCESS : EXIT_MISTAKE;
	else if (ret == EXIT_SUCCESS && argc - optind != 1)
		ret = usage("login", "login takes the name of a provider, such as box");
	else if (ret == EXIT_SUCCESS) {
		char *colon = strchr(argv[optind], ':');

		/* "box:" is what one maps, and means the same here. */
		if (colon && colon[1] == '\0')
			*colon = '\0';
		wish.provider = argv[optind];
		ret = log_in(&wish);
	}
	json_decref(wish.options);
	return ret;
}
