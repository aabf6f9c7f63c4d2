/* SPDX-License-Identifier: MIT */
/*
 * The storage side of the channels. One look over the active channels takes at most one call from
 * each, so that none is kept waiting by another's flood; calls that write are answered together,
 * after their commit. A channel's own indices live in the control area alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/abi/ring_ops.h>
#include <mayfly/abi/store.h>
#include <mayfly/sdk.h>
#include <mayfly/storage.h>

#define BATCH_MAX  256u
#define LOOKS_MASK 63u /* looks between two at the clock */

/* A call that was made and waits for its group's commit. */
struct held {
	uint32_t channel;
	uint32_t function;
	uint64_t id;
	int status;
	void *out; /* owned */
	size_t out_bytes;
};

static struct mf_abi_store_control *const control = (void *)MF_STORE_CONTROL_VA;
static struct mf_storage_function functions[MF_STORAGE_FUNCTIONS_MAX + 1]; /* and resolve */
static unsigned int function_count;
static const struct mf_storage_group *group;
static struct held batch[BATCH_MAX];
static size_t batched;
static int group_status;
static uint8_t *in_buffer;
static uint8_t *out_buffer;
static uint32_t ring_bytes;
static uint32_t channels;
static uint64_t window_bytes;
static bool wake_somebody;

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

static struct mf_abi_channel *window_of(uint32_t channel)
{
	return (void *)(MF_STORE_CHANNELS_VA + channel * window_bytes);
}

/* This side's view of the replies; false when what the other side says cannot be. */
static bool view_replies(uint32_t channel, struct mf_ring *ring)
{
	struct mf_abi_channel *window = window_of(channel);

	mf_ring_init(ring, (uint8_t *)window + MF_CHANNEL_HEAD_BYTES + ring_bytes, ring_bytes,
		     &window->reply_tail, &window->reply_head);
	ring->mine = MF_STORE_CHANNEL(control, channel)->reply_tail;
	ring->seen = mf_load_acquire(&window->reply_head.at);
	return ring->mine - ring->seen <= ring_bytes && ring->seen % MF_RING_ALIGN == 0;
}

static void view_requests(uint32_t channel, struct mf_ring *ring)
{
	struct mf_abi_channel *window = window_of(channel);

	mf_ring_init(ring, (uint8_t *)window + MF_CHANNEL_HEAD_BYTES, ring_bytes,
		     &window->request_tail, &window->request_head);
	ring->mine = ring->seen = MF_STORE_CHANNEL(control, channel)->request_head;
}

/* Done with the channel for now: the engine may wipe it. Whoever sleeps is to be woken. */
static void let_go(uint32_t channel)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(control, channel);

	mf_fence();
	if (mf_load_acquire(&state->parked))
		wake_somebody = true;
	mf_store_release(&state->busy, 0);
}

static void give_up(uint32_t channel)
{
	MF_STORE_CHANNEL(control, channel)->broken = 1;
	let_go(channel);
}

static void reply(uint32_t channel, uint32_t function, uint64_t id, int status, const void *out,
		  size_t bytes)
{
	struct mf_piece piece = {out, (uint32_t)bytes};
	struct mf_ring ring;

	if (!view_replies(channel, &ring)) {
		give_up(channel);
		return;
	}
	MF_STORE_CHANNEL(control, channel)->wrote = 1;
	MF_STORE_CHANNEL(control, channel)->reply_tail =
		ring.mine + mf_ring_padded((uint32_t)(sizeof(struct mf_abi_message) + bytes));
	if (mf_ring_put(&ring, function, id, status, &piece, 1)) {
		give_up(channel);
		return;
	}
	control->calls++;
	let_go(channel);
}

static void hold(uint32_t channel, const struct mf_abi_message *message, int status,
		 const struct mf_storage_call *call)
{
	struct held *held = &batch[batched++];

	*held = (struct held){channel, message->function, message->id, status, NULL, 0};
	if (!call->out_bytes)
		return;
	held->out = malloc(call->out_bytes);
	if (!held->out) {
		held->status = -ENOMEM;
		return;
	}
	memcpy(held->out, call->out, call->out_bytes);
	held->out_bytes = call->out_bytes;
}

/* Whoever sleeps and has a reply goes on now. */
static void wake(void)
{
	if (!wake_somebody)
		return;
	wake_somebody = false;
	mf_sdk_exit(MF_CALL_CHANNEL_WAKE, NULL, 0, 0);
}

/* Commit what this look has gathered, then answer it. */
static void end_group(void)
{
	if (!batched)
		return;
	wake(); /* a commit takes its time: those who read need not wait for it */
	if (!group_status && group && group->commit)
		group_status = group->commit(group->arg);
	control->commits++;
	for (size_t i = 0; i < batched; i++) {
		struct held *held = &batch[i];
		bool ok = !group_status;

		reply(held->channel, held->function, held->id, ok ? held->status : group_status,
		      held->out, ok ? held->out_bytes : 0);
		free(held->out);
	}
	batched = 0;
}

static void begin_group(void)
{
	group_status = group && group->begin ? group->begin(group->arg) : 0;
}

static void make_call(uint32_t channel, const struct mf_storage_function *function,
		      const struct mf_abi_message *message)
{
	struct mf_storage_call call = {.in = in_buffer,
				       .in_bytes = message->size_bytes - sizeof(*message),
				       .out = out_buffer,
				       .out_room = function->out_max};
	int status;

	if (function->writes && !batched)
		begin_group();
	status = function->writes && group_status ? group_status
						  : function->call(&call, function->arg);
	if (call.out_bytes > call.out_room)
		call.out_bytes = 0, status = -EOVERFLOW;
	if (!function->writes)
		reply(channel, message->function, message->id, status, call.out, call.out_bytes);
	else
		hold(channel, message, status, &call);
	if (batched == BATCH_MAX)
		end_group();
}

/* The reply's room is made sure of before the call is taken: who does not read waits for itself. */
static bool has_room(uint32_t channel, size_t out_bytes)
{
	struct mf_ring replies;

	if (!view_replies(channel, &replies))
		return true; /* the reply will find it broken */
	return ring_bytes - (replies.mine - replies.seen) >=
	       mf_ring_padded((uint32_t)(sizeof(struct mf_abi_message) + out_bytes));
}

/* Take the channel's next call, if there is a whole one. */
static bool take(uint32_t channel)
{
	const struct mf_storage_function *function;
	struct mf_abi_message message;
	struct mf_ring requests;
	uint32_t bytes;
	int found;

	view_requests(channel, &requests);
	found = mf_ring_peek(&requests, &message);
	if (found < 0)
		give_up(channel);
	function = found > 0 ? find(message.function) : NULL;
	if (found <= 0 || !has_room(channel, function ? function->out_max : 0)) {
		if (found >= 0)
			mf_store_release(&MF_STORE_CHANNEL(control, channel)->busy, 0);
		return false;
	}
	bytes = message.size_bytes - (uint32_t)sizeof(message);
	if (function && bytes <= function->in_max)
		mf_ring_read(&requests, 0, in_buffer, bytes);
	mf_ring_next(&requests, message.size_bytes);
	MF_STORE_CHANNEL(control, channel)->request_head = requests.mine;
	if (!function || bytes > function->in_max)
		reply(channel, message.function, message.id, function ? -E2BIG : -ENOSYS, NULL, 0);
	else
		make_call(channel, function, &message);
	return true;
}

static bool is_active(uint32_t channel)
{
	return __atomic_load_n(&control->active[channel / 64], __ATOMIC_ACQUIRE) >> (channel % 64) &
	       1;
}

static bool visit(uint32_t channel)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(control, channel);

	/* An unlocked look first: most channels have nothing. A call that waits for its commit
	 * keeps its channel busy. */
	if (state->busy || state->broken ||
	    mf_load_acquire(&window_of(channel)->request_tail.at) == state->request_head)
		return false;
	__atomic_store_n(&state->busy, 1, __ATOMIC_RELAXED);
	mf_fence();
	if (!is_active(channel)) {
		mf_store_release(&state->busy, 0);
		return false;
	}
	return take(channel);
}

/* One look over all active channels. */
static bool look(void)
{
	uint32_t words = (channels + 63) / 64;
	bool worked = false;

	for (uint32_t word = 0; word < words; word++) {
		uint64_t bits = __atomic_load_n(&control->active[word], __ATOMIC_ACQUIRE);

		for (; bits; bits &= bits - 1) {
			uint32_t channel = word * 64 + (uint32_t)__builtin_ctzll(bits);

			if (channel < channels && visit(channel)) {
				control->turns++;
				worked = true;
			}
		}
	}
	end_group();
	control->turns++;
	return worked;
}

static int open_control(void)
{
	if (!mf_inside() || control->magic != MF_STORE_MAGIC)
		return -ENXIO;
	if (control->version != MF_STORE_VERSION)
		return -EPROTO;
	ring_bytes = control->ring_bytes;
	channels = control->channels;
	window_bytes = control->window_bytes;
	in_buffer = aligned_alloc(16, ring_bytes);
	out_buffer = aligned_alloc(16, ring_bytes);
	return in_buffer && out_buffer ? 0 : -ENOMEM;
}

static int check_functions(void)
{
	for (unsigned int i = 0; i < function_count; i++)
		if (functions[i].in_max > ring_bytes - sizeof(struct mf_abi_message) ||
		    functions[i].out_max > ring_bytes - sizeof(struct mf_abi_message))
			return -EMSGSIZE;
	return 0;
}

/* Look again and again for as long as the engine wants it; true when there was something. */
static bool poll_channels(void)
{
	uint32_t poll_ns = mf_load_acquire(&control->poll_ns);
	uint64_t end = poll_ns ? mf_clock_ns() + poll_ns : 0;

	for (uint32_t looks = 1; poll_ns; looks++) {
		if (look())
			return true;
		mf_relax();
		if (!(looks & LOOKS_MASK) && mf_clock_ns() >= end)
			break;
	}
	return false;
}

int mf_storage_serve(const struct mf_storage_group *with)
{
	struct mf_storage_function own = {
		.number = MF_STORE_RESOLVE, .in_max = 256, .out_max = 4, .call = resolve};
	int ret = open_control();

	if (!ret)
		ret = check_functions();
	if (!ret)
		ret = declare(&own);
	if (ret)
		return ret;
	group = with;
	/* The ready point: calls are taken behind it only, under their own deadline. */
	mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
	for (;;) {
		bool worked = look() || poll_channels();

		if (wake_somebody)
			wake();
		else if (!worked)
			mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
	}
}
