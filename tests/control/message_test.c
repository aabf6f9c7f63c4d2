/* SPDX-License-Identifier: MIT */
/* Requests and replies of the control socket as bytes. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/control/message.h"

struct row {
	const char *text;
	const char *why; /* part of the sentence */
};

static const struct row bad[] = {
	{"", "not JSON"},
	{" ", "not JSON"},
	{"x", "not JSON"},
	{"{", "not JSON"},
	{"{}", "version"},
	{"[]", "not a JSON object"},
	{"[{\"version\":1,\"command\":\"status\"}]", "not a JSON object"},
	{"\"status\"", "not JSON"},
	{"1", "not JSON"},
	{"null", "not JSON"},
	{"{\"command\":\"status\"}", "version"},
	{"{\"version\":\"1\",\"command\":\"status\"}", "version"},
	{"{\"version\":1.0,\"command\":\"status\"}", "version"},
	{"{\"version\":true,\"command\":\"status\"}", "version"},
	{"{\"version\":null,\"command\":\"status\"}", "version"},
	{"{\"version\":0,\"command\":\"status\"}", "version 0"},
	{"{\"version\":2,\"command\":\"status\"}", "version 2"},
	{"{\"version\":2,\"command\":7,\"more\":1}", "version 2"},
	{"{\"version\":-1,\"command\":\"status\"}", "version -1"},
	{"{\"version\":99999999999999999999,\"command\":\"status\"}", "not JSON"},
	{"{\"version\":1}", "command"},
	{"{\"version\":1,\"command\":1}", "command"},
	{"{\"version\":1,\"command\":null}", "command"},
	{"{\"version\":1,\"command\":[\"status\"]}", "command"},
	{"{\"version\":1,\"command\":\"\"}", "unknown command"},
	{"{\"version\":1,\"command\":\"Status\"}", "unknown command"},
	{"{\"version\":1,\"command\":\"status \"}", "unknown command"},
	{"{\"version\":1,\"command\":\"reload\"}", "unknown command"},
	{"{\"version\":1,\"command\":\"stop\\u0000\"}", "not JSON"},
	{"{\"version\":1,\"command\":\"stop\",\"force\":true}", "members"},
	{"{\"version\":1,\"Version\":1,\"command\":\"stop\"}", "members"},
	{"{\"version\":1,\"version\":1,\"command\":\"stop\"}", "not JSON"},
	{"{\"version\":1,\"command\":\"stop\"}}", "not JSON"},
	{"{\"version\":1,\"command\":\"stop\"} x", "not JSON"},
	{"{\"version\":1,\"command\":\"stop\"}{}", "not JSON"},
	{"{'version':1,'command':'stop'}", "not JSON"},
	{"{\"version\":1,\"command\":\"\xff\xfe\"}", "not JSON"},
	{"\xef\xbb\xbf{\"version\":1,\"command\":\"stop\"}", "not JSON"},
};

static enum mf_control_command parse(const void *bytes, size_t count, struct mf_error *why)
{
	char *copy = malloc(count + !count); /* so that a sanitizer sees its end */
	enum mf_control_command command;

	if (count)
		memcpy(copy, bytes, count);
	command = mf_control_parse(copy, count, why);
	free(copy);
	return command;
}

Test(message, what_is_no_request_is_refused_with_a_sentence)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mf_error why = {""};

		cr_expect_eq(parse(bad[i].text, strlen(bad[i].text), &why), MF_CONTROL_NONE, "%s",
			     bad[i].text);
		cr_expect(strstr(why.text, bad[i].why) != NULL, "%s: %s", bad[i].text, why.text);
	}
}

Test(message, a_zero_byte_after_a_request_is_refused)
{
	static const char text[] = "{\"version\":1,\"command\":\"stop\"}";
	struct mf_error why = {""};

	cr_expect_eq(parse(text, sizeof(text) - 1, &why), MF_CONTROL_STOP);
	cr_expect_eq(parse(text, sizeof(text), &why), MF_CONTROL_NONE);
}

Test(message, every_command_comes_through_as_it_was_sent)
{
	static const char *const names[] = {"status", "drain", "stop"};

	for (int i = 0; i < 3; i++) {
		char *text = mf_control_request(names[i]);

		cr_assert_eq((int)parse(text, strlen(text), NULL), MF_CONTROL_STATUS + i);
		free(text);
	}
}

static void refuses_nested(const char *open, size_t bytes)
{
	char *text = malloc(bytes);
	struct mf_error why = {""};

	for (size_t i = 0; i < bytes; i++)
		text[i] = open[i % strlen(open)];
	cr_expect_eq(parse(text, bytes, &why), MF_CONTROL_NONE);
	cr_expect(why.text[0]);
	free(text);
}

Test(message, deep_nesting_and_large_numbers_are_refused)
{
	refuses_nested("[", 65536);
	refuses_nested("{\"a\":", 65536);
	refuses_nested("[[1],", 65536);
	refuses_nested("9", 65536);
	refuses_nested("\"", 65536);
	refuses_nested(" ", 65536);
}

/* Every one-byte change of a request is a request with the same command, or none. */
Test(message, no_change_of_a_byte_makes_another_command)
{
	static const char text[] = "{\"version\":1,\"command\":\"drain\"}";
	char copy[sizeof(text)];

	for (size_t at = 0; at + 1 < sizeof(text); at++) {
		for (int byte = 0; byte < 256; byte++) {
			enum mf_control_command command;

			memcpy(copy, text, sizeof(text));
			copy[at] = (char)byte;
			command = parse(copy, sizeof(text) - 1, NULL);
			cr_assert(command == MF_CONTROL_NONE || command == MF_CONTROL_DRAIN);
		}
	}
}

Test(message, random_bytes_are_survived)
{
	static const char *const words[] = {
		"{",           "}",        "[",       "]",    ":",  ",",    "\"version\"", "1",
		"\"command\"", "\"stop\"", "\\u0000", "\xc3", "\"", "true", "-",           "1e999"};
	char text[512];

	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t length = 0;

		for (int i = rand() % 24; i > 0; i--) {
			const char *word = words[(size_t)rand() % 16];

			memcpy(text + length, word, strlen(word));
			length += strlen(word);
		}
		for (int i = rand() % 3; i > 0 && length; i--)
			text[(size_t)rand() % length] = (char)rand();
		parse(text, length, NULL);
	}
}

Test(message, a_status_arrives_as_it_was_told)
{
	struct mf_control_status told = {.version = "1.2", .state = "serving", .kvm = "software"};
	struct mf_control_reply reply;
	char *text;

	for (uint64_t *at = &told.pid; at <= &told.store_user_exits; at++)
		*at = (uint64_t)(at - &told.pid) * 1000000007u;
	snprintf(told.program, sizeof(told.program), "./\xc3\xa4 \"quoted\" \n");
	text = mf_control_accept(&told);
	cr_assert_eq(mf_control_understand(text, strlen(text), &reply, NULL), 0);
	cr_assert(reply.ok && reply.has_status);
	cr_assert_arr_eq(&reply.status, &told, sizeof(told));
	cr_assert_str_eq(reply.text, text);
	mf_control_reply_finish(&reply);
	free(text);
}

Test(message, a_name_that_is_no_utf8_is_told_in_ascii)
{
	struct mf_control_status told = {.program = "./a\xff\xfe z"};
	struct mf_control_reply reply;
	char *text = mf_control_accept(&told);

	cr_assert_not_null(text);
	cr_assert_eq(mf_control_understand(text, strlen(text), &reply, NULL), 0);
	cr_assert_str_eq(reply.status.program, "./a?? z");
	mf_control_reply_finish(&reply);
	free(text);
}

Test(message, a_refusal_brings_its_sentence_without_control_characters)
{
	struct mf_control_reply reply;
	char *text = mf_control_refuse("no \033[31m\n");

	cr_assert_eq(mf_control_understand(text, strlen(text), &reply, NULL), 0);
	cr_assert(!reply.ok);
	cr_assert_str_eq(reply.error.text, "no ?[31m?");
	mf_control_reply_finish(&reply);
	free(text);
}

Test(message, members_that_a_reply_has_more_are_passed_over)
{
	static const char text[] = "{\"version\":1,\"ok\":true,\"new\":[1]}";
	struct mf_control_reply reply;

	cr_assert_eq(mf_control_understand(text, sizeof(text) - 1, &reply, NULL), 0);
	cr_assert(reply.ok && !reply.has_status);
	mf_control_reply_finish(&reply);
}

Test(message, what_is_no_reply_is_told)
{
	static const char *const wrong[] = {
		"",
		"x",
		"[]",
		"{}",
		"{\"version\":1}",
		"{\"version\":2,\"ok\":true}",
		"{\"version\":1,\"ok\":1}",
		"{\"version\":1,\"ok\":false}",
		"{\"version\":1,\"ok\":false,\"error\":7}",
		"{\"version\":1,\"ok\":true,\"engine\":{}}",
		"{\"version\":1,\"ok\":true,\"engine\":7}",
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct mf_control_reply reply;
		struct mf_error err = {""};

		cr_expect_eq(mf_control_understand(wrong[i], strlen(wrong[i]), &reply, &err),
			     -EPROTO, "%s", wrong[i]);
		cr_expect(err.text[0]);
	}
}

Test(message, a_negative_or_missing_number_is_no_status)
{
	struct mf_control_status told = {.pid = 1};
	struct mf_control_reply reply;
	char *text = mf_control_accept(&told);
	char *at = strstr(text, "\"pid\":1");

	cr_assert_not_null(at);
	memcpy(at, "\"pib\":1", 7);
	cr_assert_eq(mf_control_understand(text, strlen(text), &reply, NULL), -EPROTO);
	memcpy(at, "\"pid\":-", 7);
	cr_assert_eq(mf_control_understand(text, strlen(text), &reply, NULL), -EPROTO);
	free(text);
}

Test(message, a_reply_with_full_histograms_fits_and_loses_no_value)
{
	struct mf_control_times *times = calloc(1, sizeof(*times));
	struct mf_control_status status = {.version = "1"};
	struct mf_control_reply reply;
	struct mf_error err = {""};
	char *text;
	size_t i;

	for (i = 0; i < MF_CONTROL_TIME_COUNT; i++) {
		times->of[i].count = MF_HIST_BUCKETS * 1000000000ull;
		for (uint32_t bucket = 0; bucket < MF_HIST_BUCKETS; bucket++)
			times->of[i].buckets[bucket] = 1000000000;
	}
	text = mf_control_accept_times(&status, times);
	cr_assert(text && strlen(text) <= MF_CONTROL_MESSAGE_MAX);
	cr_assert_eq(mf_control_understand(text, strlen(text), &reply, &err), 0, "%s", err.text);
	cr_assert(reply.times != NULL);
	for (i = 0; i < MF_CONTROL_TIME_COUNT; i++) {
		uint64_t sum = 0;

		for (uint32_t bucket = 0; bucket < MF_HIST_BUCKETS; bucket++)
			sum += reply.times->of[i].buckets[bucket];
		cr_expect_eq(sum, MF_HIST_BUCKETS * 1000000000ull);
	}
	mf_control_reply_finish(&reply);
	free(text);
	free(times);
}

Test(message, histograms_that_are_none_are_refused)
{
	static const char *const spoilt[][2] = {
		{"\"buckets\":[67,1]", "\"buckets\":[1152,1]"},
		{"\"buckets\":[67,1]", "\"buckets\":[-1,1]"},
		{"\"buckets\":[67,1]", "\"buckets\":[67,-1]"},
		{"\"buckets\":[67,1]", "\"buckets\":[67]"},
		{"\"buckets\":[67,1]", "\"buckets\":67"},
		{"\"buckets\":[67,1]", "\"buckets\":[67,1.5]"},
		{"\"sum_ns\":70", "\"sum_ns\":-70"},
	};
	static struct mf_control_times times;
	struct mf_control_status status = {.version = "1"};
	struct mf_control_reply reply;
	struct mf_error err = {""};
	char *text;

	mf_hist_note(&times.of[MF_CONTROL_TIME_RUN], 70);
	text = mf_control_accept_times(&status, &times);
	cr_assert_eq(mf_control_understand(text, strlen(text), &reply, &err), 0, "%s", err.text);
	cr_assert_eq(mf_control_percentile(&reply.times->of[MF_CONTROL_TIME_RUN], 0.5), 70);
	mf_control_reply_finish(&reply);
	for (size_t i = 0; i < sizeof(spoilt) / sizeof(spoilt[0]); i++) {
		char *at = strstr(text, spoilt[i][0]);
		char *other = NULL;

		cr_assert(at != NULL, "%s is not in %s", spoilt[i][0], text);
		cr_assert(asprintf(&other, "%.*s%s%s", (int)(at - text), text, spoilt[i][1],
				   at + strlen(spoilt[i][0])) > 0);
		cr_expect_eq(mf_control_understand(other, strlen(other), &reply, &err), -EPROTO,
			     "%s", spoilt[i][1]);
		free(other);
	}
	free(text);
}
