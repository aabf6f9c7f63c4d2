/* SPDX-License-Identifier: MIT */
/*
 * Storage programs: functions by number, and the look over the channels. A look takes a few calls
 * of each active channel, so that none is kept waiting by another's flood. Of a program without
 * transactions of its own, calls that write are answered together, after their commit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/sdk.h>

#include "storage_channel.h"

#define BATCH_MAX      256u
#define LOOKS_MASK     63u          /* looks between two at the clock */
#define AWAY_NS        1000000ull   /* between those two: the processor was somebody else's */
#define PAUSE_MIN_NS   100000000ull /* without polling, from then on */
#define PAUSE_MAX_NS   3200000000ull
#define TAKE_MAX_CALLS 16u          /* of a channel, a look */
#define TAKE_MAX_BYTES (256u << 10) /* likewise; one call may have more */

/* A call that was made and waits for its group's commit. */
struct made {
	struct mf_storage_held *held;
	int status;
};

static struct mf_storage_function functions[MF_STORAGE_FUNCTIONS_MAX + 1]; /* and resolve */
static unsigned int function_count;
static const struct mf_storage_group *group;
static const struct mf_storage_transactions *transactions;
static struct made batch[BATCH_MAX];
static size_t batched;
static bool group_begun;
static int group_status;
static uint8_t *in_buffer;
static uint8_t *out_buffer;

static uint32_t payload_max(void)
{
	return MF_RING_BYTES_MAX - (uint32_t)sizeof(struct mf_abi_message);
}

static const struct mf_storage_function *find(uint32_t number)
{
	for (unsigned int i = 0; i < function_count; i++)
		if (functions[i].number == number)
			return &functions[i];
	return NULL;
}

static const struct mf_storage_function *find_name(const char *name, size_t bytes)
{
	for (unsigned int i = 0; i < function_count; i++)
		if (functions[i].name && strlen(functions[i].name) == bytes &&
		    !memcmp(functions[i].name, name, bytes))
			return &functions[i];
	return NULL;
}

static int resolve(struct mf_storage_call *call, void *arg)
{
	const struct mf_storage_function *function = find_name(call->in, call->in_bytes);

	(void)arg;
	if (!function)
		return -ENOENT;
	memcpy(call->out, &function->number, sizeof(function->number));
	call->out_bytes = sizeof(function->number);
	return 0;
}

static int declare(const struct mf_storage_function *function)
{
	if (find(function->number) ||
	    (function->name && find_name(function->name, strlen(function->name))))
		return -EEXIST;
	functions[function_count++] = *function;
	return 0;
}

int mf_storage_declare(const struct mf_storage_function *function)
{
	if (!function->number || !function->call || (function->name && !function->name[0]))
		return -EINVAL;
	if (function->in_max > payload_max() || function->out_max > payload_max())
		return -EMSGSIZE;
	if (function_count == MF_STORAGE_FUNCTIONS_MAX)
		return -ENOSPC;
	return declare(function);
}

/* ---- groups ---- */

/* Whoever sleeps and has a reply goes on now. */
static void wake(void)
{
	if (!mf_wake_somebody)
		return;
	mf_wake_somebody = false;
	mf_sdk_exit(MF_CALL_CHANNEL_WAKE, NULL, 0, 0);
}

/* Commit what this look has gathered, then answer it. */
static void end_group(void)
{
	if (!group_begun)
		return;
	wake(); /* a commit takes its time: those who read need not wait for it */
	if (!group_status && group && group->commit)
		group_status = group->commit(group->arg);
	mf_control()->commits++;
	for (size_t i = 0; i < batched; i++)
		mf_storage_answer(batch[i].held, group_status ? group_status : batch[i].status,
				  !group_status);
	batched = 0;
	group_begun = false;
}

static void begin_group(void)
{
	group_begun = true;
	group_status = group && group->begin ? group->begin(group->arg) : 0;
}

/* Whether the reply is to wait for the group. */
static int hold(const struct mf_storage_call *call, int status)
{
	struct mf_storage_held *held = mf_storage_hold(call);

	if (!held)
		return -ENOMEM;
	batch[batched++] = (struct made){held, status};
	if (batched == BATCH_MAX)
		end_group();
	return MF_STORAGE_LATER;
}

/* ---- calls ---- */

static void make_call(uint32_t channel, const struct mf_storage_function *function,
		      const struct mf_abi_message *message)
{
	bool grouped = function->writes && !transactions;
	struct mf_storage_call call = {.in = in_buffer,
				       .in_bytes = message->size_bytes - sizeof(*message),
				       .out = out_buffer,
				       .out_room = function->out_max,
				       .channel = mf_owner_of(channel),
				       .bound = mf_state_of(mf_owner_of(channel))->bound,
				       .function = message->function,
				       .id = message->id,
				       .line = channel};
	int status;

	if (function->silent) {
		function->call(&call, function->arg);
		mf_control()->calls++;
		return;
	}
	if (grouped && !group_begun)
		begin_group();
	status = grouped && group_status ? group_status : function->call(&call, function->arg);
	if (call.out_bytes > call.out_room)
		call.out_bytes = 0, status = -EOVERFLOW;
	if (grouped && status != MF_STORAGE_LATER) {
		status = hold(&call, status);
		call.out_bytes = status < 0 ? 0 : call.out_bytes;
	}
	if (status != MF_STORAGE_LATER)
		mf_line_reply(channel, call.function, call.id, status, call.out, call.out_bytes);
}

/* A request's transaction that died with an earlier program: nothing may be added to it. */
static bool is_lost(uint32_t channel)
{
	uint32_t owner = mf_owner_of(channel);

	return transactions && mf_lines[owner].lost && mf_state_of(owner)->bound;
}

static bool may_take(uint32_t channel, const struct mf_storage_function *function)
{
	bool waits = transactions && ((function && function->writes) || mf_lines[channel].flights);

	if (waits && !transactions->is_ready(transactions->arg))
		return false;
	return mf_line_has_room(channel, function ? function->out_max : 0);
}

/* Take the channel's next call, if there is a whole one. Returns its bytes; 0: there is none. */
static uint32_t take(uint32_t channel)
{
	const struct mf_storage_function *function;
	struct mf_abi_message message;
	struct mf_ring requests;
	uint32_t bytes;
	int found;

	mf_view_requests(channel, &requests);
	found = mf_ring_peek(&requests, &message);
	if (found < 0)
		mf_line_give_up(channel);
	/* What comes over streams is the engine's, and no request VM may say the like. */
	function = found > 0 && (message.function == MF_KV_STREAM) == mf_is_stream(channel)
			   ? find(message.function)
			   : NULL;
	/* The reply's room is made sure of before: who does not read waits for itself. */
	if (found <= 0 || !may_take(channel, function))
		return 0;
	bytes = message.size_bytes - (uint32_t)sizeof(message);
	if (function && bytes <= function->in_max)
		mf_ring_read(&requests, 0, in_buffer, bytes);
	if (function && function->silent)
		mf_state_of(channel)->wrote |= MF_STORE_TOOK;
	mf_ring_next(&requests, message.size_bytes);
	mf_store_release(&mf_state_of(channel)->request_head, requests.mine);
	if (!function || bytes > function->in_max || is_lost(channel))
		mf_line_reply(channel, message.function, message.id,
			      !function                  ? -ENOSYS
			      : bytes > function->in_max ? -E2BIG
							 : -ECONNRESET,
			      NULL, 0);
	else
		make_call(channel, function, &message);
	return message.size_bytes;
}

static bool has_calls(uint32_t channel)
{
	return mf_load_acquire(&mf_window_of(channel)->request_tail.at) !=
	       mf_state_of(channel)->request_head;
}

static bool has_order(uint32_t channel)
{
	const struct mf_abi_store_channel *state = mf_state_of(channel);

	return mf_load_acquire(&state->order) == MF_STORE_ORDER_COMMIT && !state->verdict &&
	       !mf_lines[channel].flights;
}

/* Nothing of it is to be done, or under way. */
static bool is_quiet(uint32_t channel)
{
	return !mf_lines[channel].flights && (mf_state_of(channel)->broken || !has_calls(channel));
}

static uint32_t stream_of(uint32_t channel)
{
	return mf_control()->streams && !mf_is_stream(channel) ? mf_control()->streams + channel
							       : channel;
}

/* No call follows an order: what is in the ring by now comes first. */
static bool carry_out(uint32_t channel)
{
	int status = 0;

	if (transactions && !transactions->is_ready(transactions->arg))
		return false;
	mf_lines[channel].flights++;
	if (is_lost(channel))
		status = -ECONNRESET;
	else if (transactions)
		status = transactions->order(channel, transactions->arg);
	if (status != MF_STORAGE_LATER)
		mf_storage_verdict(channel, status);
	return true;
}

/* ---- requests ---- */

/* The request is over: what is not committed of it is not to be. */
static void drop(uint32_t channel)
{
	struct line *line = &mf_lines[channel];

	if (line->open && transactions)
		transactions->drop(channel, transactions->arg);
	line->open = line->lost = false;
}

/* A VM's own store goes with the VM's reset alone, which makes the request's number larger. */
static bool outlives_requests(void)
{
	return mf_control()->scope == MF_STORE_OF_VM;
}

/* Has a channel been used since it was wiped? */
static bool is_used(uint32_t channel)
{
	const struct mf_abi_store_channel *state = mf_state_of(channel);

	return state->wrote || state->request_head || mf_lines[channel].flights;
}

/* Was a reply of it written by a program before this one? */
static bool has_past(uint32_t channel)
{
	return mf_state_of(channel)->wrote;
}

/* Is it another request than the one that is known here? One of its channels is entered. */
static void meet(uint32_t channel)
{
	const struct mf_abi_store_channel *state = mf_state_of(channel);
	struct line *line = &mf_lines[channel];

	bool is_new = !is_used(channel) && !is_used(stream_of(channel));

	if (line->open && (state->request != line->request || (is_new && !outlives_requests())))
		drop(channel);
	if (line->open)
		return;
	line->lost = !line->known && (has_past(channel) || has_past(stream_of(channel)));
	line->open = line->known = true;
	line->request = state->request;
}

/* Requests that ended without an order. */
static void look_for_ends(uint32_t word, uint64_t active)
{
	uint32_t end =
		(word + 1) * 64 < mf_control()->channels ? (word + 1) * 64 : mf_control()->channels;

	for (uint32_t channel = word * 64; channel < end; channel++)
		if (mf_lines[channel].open && !mf_lines[channel].flights &&
		    !(active >> (channel % 64) & 1) && !outlives_requests())
			drop(channel);
}

/* ---- the look ---- */

static bool visit(uint32_t channel);

/* What a request posted comes before what it sends over a connection afterwards. True: there is
 * more of it than a visit takes. */
static bool is_behind(uint32_t owner)
{
	return has_calls(owner) && visit(owner) && has_calls(owner);
}

static bool visit(uint32_t channel)
{
	bool worked = false;
	uint32_t bytes = 0;
	uint32_t got = 0;

	/* An unlocked look first: most channels have nothing. */
	if (mf_state_of(channel)->broken || (!has_calls(channel) && !has_order(channel)))
		return false;
	if (mf_is_stream(channel) && is_behind(mf_owner_of(channel)))
		return true;
	if (!mf_line_enter(channel))
		return false;
	meet(mf_owner_of(channel));
	for (unsigned int i = 0; i < TAKE_MAX_CALLS && bytes < TAKE_MAX_BYTES; i++) {
		got = mf_state_of(channel)->broken ? 0 : take(channel);
		if (!got)
			break;
		mf_control()->turns++;
		bytes += got;
		worked = true;
	}
	/* What cannot be taken by now is not of it. */
	if (has_order(channel) && !mf_state_of(channel)->broken && (!got || !has_calls(channel)) &&
	    is_quiet(stream_of(channel)))
		worked |= carry_out(channel);
	mf_line_leave(channel);
	return worked;
}

/* One look over all active channels. */
static bool look(void)
{
	uint32_t channels = mf_line_count();
	uint32_t words = (channels + 63) / 64;
	bool worked = false;

	for (uint32_t word = 0; word < words; word++) {
		uint64_t active = __atomic_load_n(&mf_control()->active[word], __ATOMIC_ACQUIRE);

		for (uint64_t bits = active; bits; bits &= bits - 1) {
			uint32_t channel = word * 64 + (uint32_t)__builtin_ctzll(bits);

			if (channel < channels)
				worked |= visit(channel);
		}
		look_for_ends(word, active);
	}
	end_group();
	if (transactions)
		worked |= transactions->turn(transactions->arg);
	mf_control()->turns++;
	return worked;
}

static int check_functions(void)
{
	uint32_t most = mf_control()->ring_bytes - (uint32_t)sizeof(struct mf_abi_message);

	for (unsigned int i = 0; i < function_count; i++)
		if (functions[i].in_max > most || functions[i].out_max > most)
			return -EMSGSIZE;
	return 0;
}

static int make_buffers(void)
{
	in_buffer = aligned_alloc(16, mf_control()->ring_bytes);
	out_buffer = aligned_alloc(16, mf_control()->ring_bytes);
	return in_buffer && out_buffer ? 0 : -ENOMEM;
}

static uint64_t pause_ns = PAUSE_MIN_NS;
static uint64_t pause_end_ns;

/*
 * On a processor that others want as well, who polls is put off when there is something at last:
 * for a while it waits then instead, and longer when that happens soon again. True: it was away
 * between the two times.
 */
static bool was_away(uint64_t before, uint64_t now)
{
	if (now - before <= AWAY_NS)
		return false;
	if (now - pause_end_ns > pause_ns)
		pause_ns = PAUSE_MIN_NS;
	else if (pause_ns < PAUSE_MAX_NS)
		pause_ns *= 2;
	pause_end_ns = now + pause_ns;
	return true;
}

static bool is_polling(void)
{
	return mf_load_acquire(&mf_control()->poll_ns) && mf_clock_ns() >= pause_end_ns;
}

/* Look again and again for as long as the engine wants it; true when there was something. */
static bool poll_channels(void)
{
	uint64_t last = mf_clock_ns();
	uint64_t end = last + mf_load_acquire(&mf_control()->poll_ns);

	for (uint32_t looks = 1;; looks++) {
		uint64_t now;

		if (look())
			return true;
		mf_relax();
		if (looks & LOOKS_MASK)
			continue;
		now = mf_clock_ns();
		if (was_away(last, now) || now >= end)
			break;
		last = now;
	}
	return false;
}

/* Another thread has got something to do: it is woken, and goes first. What it waits for then, as
 * the disk, gives it the vCPU again by itself. */
static void let_others(const uint32_t **word)
{
	if (*word)
		mf_sdk_exit(MF_CALL_CHANNEL_WAIT, (void *)1, (uintptr_t)*word, 0);
	*word = NULL;
}

/* True: there was more than two looks found, or polling has found some. */
static bool look_about(const uint32_t **word)
{
	bool more = look() && look();

	if (transactions)
		*word = transactions->leaves(transactions->arg);
	if (more || !is_polling())
		return more;
	wake();
	let_others(word);
	return poll_channels();
}

static int serve(void)
{
	struct mf_storage_function own = {
		.number = MF_STORE_RESOLVE, .in_max = 256, .out_max = 4, .call = resolve};
	int ret = mf_lines_open();

	if (!ret)
		ret = make_buffers();
	if (!ret)
		ret = check_functions();
	if (!ret)
		ret = declare(&own);
	if (ret)
		return ret;
	/* The ready point: calls are taken behind it only, under their own deadline. */
	mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
	for (;;) {
		const uint32_t *word = NULL;

		if (look_about(&word)) {
			wake();
			let_others(&word);
			continue;
		}
		mf_wake_somebody = false;
		mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, (uintptr_t)word, 0);
	}
}

int mf_storage_serve(const struct mf_storage_group *with)
{
	group = with;
	return serve();
}

int mf_storage_serve_transactions(const struct mf_storage_transactions *with)
{
	transactions = with;
	return serve();
}
