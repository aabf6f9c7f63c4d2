/* SPDX-License-Identifier: MIT */
#include "cli/stat_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/values.h"
#include "engine/kvm/probe.h"
#include "request-vm/pool.h"

#define GROUPS_MAX 64u
#define STARS      40u

/* Rows of one kind. */
struct group {
	char name[48];
	struct mf_hist hist;
};
struct groups {
	struct group list[GROUPS_MAX];
	size_t count;
};

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

void mf_stat_print_row(FILE *file, const char *name, const struct mf_hist *hist)
{
	fprintf(file, "  %-18s %12" PRIu64, name, hist->count);
	if (hist->count)
		fprintf(file, " %12.2f %12.2f %12.2f %12.2f", us(mf_hist_percentile(hist, 0.5)),
			us(mf_hist_percentile(hist, 0.99)), us(mf_hist_percentile(hist, 0.999)),
			us(hist->max_ns));
	fputc('\n', file);
}

void mf_stat_print_head(FILE *file, const char *title)
{
	fprintf(file, "%-20s %12s %12s %12s %12s %12s\n", title, "count", "p50 us", "p99 us",
		"p99.9 us", "max us");
}

static const char *title_of(enum mf_probe_kind kind)
{
	static const char *const titles[MF_PROBE_KINDS] = {
		[MF_PROBE_RUN] = "KVM_RUN returned",
		[MF_PROBE_OUTSIDE] = "outside the guest",
		[MF_PROBE_BEFORE] = "before the guest",
		[MF_PROBE_GUEST] = "in the guest",
		[MF_PROBE_AFTER] = "after the guest",
		[MF_PROBE_USER] = "until the next run",
		[MF_PROBE_INSIDE] = "guest code alone",
		[MF_PROBE_QUEUED] = "waited for a CPU",
		[MF_PROBE_WAKEUPS] = "wake-ups",
		[MF_PROBE_HOST_FAULTS] = "page faults, host",
		[MF_PROBE_GUEST_FAULTS] = "page faults, guest",
		[MF_PROBE_GUEST_MAPPED] = "pages mapped",
		[MF_PROBE_RESET] = "VM put back",
		[MF_PROBE_REQUEST] = "request",
		[MF_PROBE_FORK] = "VM made",
		[MF_PROBE_CALL] = "ring call",
		[MF_PROBE_COMMIT] = "commit",
	};

	return titles[kind];
}

bool mf_stat_is_count(enum mf_probe_kind kind)
{
	return kind >= MF_PROBE_WAKEUPS && kind <= MF_PROBE_GUEST_MAPPED;
}

const char *mf_stat_class_name(const struct mf_probe_key *key)
{
	static const char *const modes[MF_PROBE_MODES] = {"answered", "hand_off", "parked",
							  "polled"};

	if (key->kind <= MF_PROBE_INSIDE && key->class < MF_EXIT_CLASSES)
		return mf_exit_class_name(key->class);
	if (key->kind == MF_PROBE_CALL && key->class < MF_PROBE_MODES)
		return modes[key->class];
	if (key->kind == MF_PROBE_REQUEST && key->class <= MF_OUTCOME_STORE)
		return mf_outcome_name(key->class);
	return mf_probe_kind_name(key->kind);
}

/* The process's own name; gone, its number alone. What it chose is printed as letters only. */
static void name_tenant(uint32_t tgid, char *name, size_t room)
{
	char path[64];
	char comm[32] = "";
	char *at;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/comm", tgid);
	file = fopen(path, "re");
	if (file && !fgets(comm, sizeof(comm), file))
		comm[0] = '\0';
	if (file)
		fclose(file);
	comm[strcspn(comm, "\n")] = '\0';
	for (at = comm; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	snprintf(name, room, "%u %s", tgid, comm);
}

static void name_group(int by, const struct mf_probe_key *key, char *name, size_t room)
{
	if (by == MF_STAT_BY_TENANT)
		name_tenant(key->tgid, name, room);
	else
		snprintf(name, room, "%s",
			 by == MF_STAT_BY_ROLE ? mf_probe_role_name(key->role)
					       : mf_stat_class_name(key));
}

/* Those without room are in the last one. */
static struct group *group_of(struct groups *groups, const char *name)
{
	size_t i;

	for (i = 0; i < groups->count; i++)
		if (!strcmp(groups->list[i].name, name))
			return &groups->list[i];
	if (groups->count == GROUPS_MAX) {
		strcpy(groups->list[GROUPS_MAX - 1].name, "others");
		return &groups->list[GROUPS_MAX - 1];
	}
	strcpy(groups->list[groups->count].name, name);
	return &groups->list[groups->count++];
}

/* Often ones first. */
static int compare(const void *a, const void *b)
{
	const struct group *x = a;
	const struct group *y = b;

	return (x->hist.count < y->hist.count) - (x->hist.count > y->hist.count);
}

static void collect(struct groups *groups, int by, enum mf_probe_kind kind,
		    const struct mf_measured *measured)
{
	char name[sizeof(groups->list[0].name)];
	size_t i;

	memset(groups, 0, sizeof(*groups));
	for (i = 0; i < measured->series_count; i++) {
		if (measured->series[i].key.kind != kind)
			continue;
		name_group(by, &measured->series[i].key, name, sizeof(name));
		mf_hist_add(&group_of(groups, name)->hist, &measured->series[i].hist);
	}
	qsort(groups->list, groups->count, sizeof(groups->list[0]), compare);
}

/* A power of two a line. */
static void sum_by_power(const struct mf_hist *hist, uint64_t powers[MF_HIST_TOP_BIT + 1],
			 unsigned int *first, unsigned int *last)
{
	uint32_t i;

	*first = MF_HIST_TOP_BIT;
	*last = 0;
	memset(powers, 0, (MF_HIST_TOP_BIT + 1) * sizeof(*powers));
	for (i = 0; i < MF_HIST_BUCKETS; i++) {
		unsigned int power = mf_hist_log2(mf_hist_first(i));

		if (!hist->buckets[i])
			continue;
		powers[power] += hist->buckets[i];
		*first = power < *first ? power : *first;
		*last = power > *last ? power : *last;
	}
}

static void draw(FILE *file, const char *kind, const struct group *group)
{
	static const char stars[] = "****************************************";
	uint64_t powers[MF_HIST_TOP_BIT + 1];
	uint64_t most = 1;
	unsigned int first;
	unsigned int last;
	unsigned int i;

	sum_by_power(&group->hist, powers, &first, &last);
	for (i = first; i <= last; i++)
		most = powers[i] > most ? powers[i] : most;
	fprintf(file, "\n%s: %s\n%24s : %-10s distribution\n", kind, group->name, "nsecs", "count");
	for (i = first; i <= last; i++)
		fprintf(file, "%10llu -> %-10llu : %-10" PRIu64 " |%-40.*s|\n",
			i ? 1ull << i : 0ull, (2ull << i) - 1, powers[i],
			(int)(powers[i] * STARS / most), stars);
	fputc('\n', file);
}

static void print_kind(FILE *file, const struct mf_stat_rows *rows, enum mf_probe_kind kind,
		       const struct groups *groups)
{
	size_t i;

	if (mf_stat_is_count(kind))
		fprintf(file, "%-20s %12s\n", title_of(kind), "count");
	else
		mf_stat_print_head(file, title_of(kind));
	for (i = 0; i < groups->count; i++) {
		if (mf_stat_is_count(kind))
			fprintf(file, "  %-18s %12" PRIu64 "\n", groups->list[i].name,
				groups->list[i].hist.count);
		else
			mf_stat_print_row(file, groups->list[i].name, &groups->list[i].hist);
	}
	for (i = 0; rows->histogram && !mf_stat_is_count(kind) && i < groups->count; i++)
		draw(file, title_of(kind), &groups->list[i]);
}

void mf_stat_print_rows(FILE *file, const struct mf_stat_rows *rows,
			const struct mf_measured *measured)
{
	struct groups *groups = malloc(sizeof(*groups));
	unsigned int kind;

	for (kind = 0; groups && kind < MF_PROBE_KINDS; kind++) {
		collect(groups, rows->by, kind, measured);
		if (groups->count)
			print_kind(file, rows, kind, groups);
	}
	free(groups);
}
