/* SPDX-License-Identifier: MIT */
/* Requests: a message into the guest's buffer, its response out of it. */
#include "lib/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the next string of a message goes. */
struct writer {
	uint8_t *bytes;
	size_t used;
};

static struct mf_abi_slice put(struct writer *writer, const void *bytes, size_t size)
{
	struct mf_abi_slice slice = {(uint32_t)writer->used, (uint32_t)size};

	if (size)
		memcpy(writer->bytes + writer->used, bytes, size);
	writer->bytes[writer->used + size] = 0;
	writer->used += size + 1;
	return slice;
}

static struct mf_abi_slice put_name(struct writer *writer, const char *name)
{
	struct mf_abi_slice slice = put(writer, name, strlen(name));
	uint32_t i;

	for (i = 0; i < slice.length; i++) {
		uint8_t *c = writer->bytes + slice.offset + i;

		*c = *c >= 'A' && *c <= 'Z' ? (uint8_t)(*c - 'A' + 'a') : *c;
	}
	return slice;
}

static const char *method_of(const struct mf_message *message)
{
	if (message->method)
		return message->method;
	return message->body_bytes ? "POST" : "GET";
}

static const char *target_of(const struct mf_message *message)
{
	return message->target ? message->target : "/";
}

/* Bytes that the message takes; 0 when it makes no sense. */
static size_t measure(const struct mf_message *message)
{
	size_t size = sizeof(struct mf_abi_request) +
		      message->header_count * 2 * sizeof(struct mf_abi_slice);
	size_t i;

	if (message->header_count > MF_ABI_MAX_HEADERS ||
	    (message->header_count && !message->headers) || (message->body_bytes && !message->body))
		return 0;
	size += strlen(method_of(message)) + 1 + strlen(target_of(message)) + 1;
	for (i = 0; i < message->header_count; i++) {
		if (!message->headers[i].name || !message->headers[i].value)
			return 0;
		size += strlen(message->headers[i].name) + 1 + strlen(message->headers[i].value) +
			1;
	}
	return size + message->body_bytes + 1;
}

static void fill(const struct mf_message *message, uint8_t *bytes, size_t size)
{
	struct mf_abi_request *request = (struct mf_abi_request *)bytes;
	struct mf_abi_slice *pair = (struct mf_abi_slice *)(request + 1);
	struct writer writer = {bytes,
				sizeof(*request) + message->header_count * 2 * sizeof(*pair)};
	size_t i;

	*request = (struct mf_abi_request){
		.version = MF_ABI_VERSION,
		.size_bytes = (uint32_t)size,
		.id = message->id,
		.header_count = (uint32_t)message->header_count,
		.headers_offset = sizeof(*request),
	};
	request->method = put(&writer, method_of(message), strlen(method_of(message)));
	request->target = put(&writer, target_of(message), strlen(target_of(message)));
	for (i = 0; i < message->header_count; i++, pair += 2) {
		pair[0] = put_name(&writer, message->headers[i].name);
		pair[1] =
			put(&writer, message->headers[i].value, strlen(message->headers[i].value));
	}
	request->body = put(&writer, message->body, message->body_bytes);
}

/* Lay a message out as struct mf_abi_request; *bytes is malloc'ed. -EINVAL, -EMSGSIZE, -ENOMEM. */
static int lay_out(const struct mf_message *message, uint8_t **bytes, size_t *size,
		   struct mf_error *err)
{
	*size = message->body_bytes < UINT32_MAX ? measure(message) : SIZE_MAX;
	if (!*size)
		return mf_error_set(
			err, -EINVAL,
			"the message has more than %u headers, or one without a name or value, or "
			"a body without bytes",
			MF_ABI_MAX_HEADERS);
	if (*size > UINT32_MAX)
		return mf_error_set(err, -EMSGSIZE, "the message is larger than 4 GiB");
	*bytes = malloc(*size);
	if (!*bytes)
		return mf_error_set(err, -ENOMEM, "not enough memory for the message");
	fill(message, *bytes, *size);
	return 0;
}

static int may_serve(const struct mf_lib_vm *vm, struct mf_error *err)
{
	if (vm->image->ready_at != MF_READY_AT_WAIT)
		return mf_error_set(
			err, -ENOTSUP,
			"the program was frozen at its exit and waits for no request; load it "
			"with MF_READY_AT_WAIT");
	if (vm->state == MF_LIB_CALLED)
		return mf_error_set(err, -EBUSY,
				    "a function was called in this VM; reset it first");
	return 0;
}

static int deliver(struct mf_lib_vm *vm, const struct mf_message *message, struct mf_error *err)
{
	uint8_t *bytes;
	size_t size;
	int ret = lay_out(message, &bytes, &size, err);

	if (ret)
		return ret;
	ret = mf_function_deliver(&vm->process, &vm->ready, bytes, size);
	explicit_bzero(bytes, size);
	free(bytes);
	if (ret == -EMSGSIZE)
		return mf_error_set(
			err, ret,
			"the program has room for requests of %llu bytes, this one takes %zu; see "
			"mf_request_capacity()",
			(unsigned long long)vm->ready.buffer_bytes, size);
	if (ret) {
		mf_lib_vm_ended(vm, MF_STOP_CRASH);
		return mf_error_set(err, MF_STOP_CRASH,
				    "the program's buffer for requests cannot be written");
	}
	return 0;
}

/* A response that came; 0, an enum mf_stop or -ENOMEM. The first one counts. */
static int take(struct mf_lib_vm *vm, const struct mf_exit *exit,
		struct mf_function_response *response, struct mf_error *err)
{
	int ret;

	if (response->status)
		return 0;
	ret = mf_function_response(&vm->process, exit, response);
	if (!ret || ret == -ENOMEM)
		return ret ? mf_error_set(err, ret, "not enough memory for the response") : 0;
	return mf_error_set(err, MF_STOP_NO_ANSWER, "the guest %s",
			    ret == -ENOMSG ? "waits for the next request without having answered"
					   : "gave a response that is not valid");
}

static int serve(struct mf_lib_vm *vm, struct mf_lib_run *run,
		 struct mf_function_response *response, struct mf_error *err)
{
	struct mf_exit exit;
	int ret;

	do {
		mf_lib_run(run, &vm->process, &exit);
		if (exit.kind != MF_EXIT_RESPOND && exit.kind != MF_EXIT_READY)
			return mf_lib_stop(&vm->process, &exit, err);
		ret = take(vm, &exit, response, err);
		if (!ret && exit.kind == MF_EXIT_RESPOND)
			mf_vm_answer(&vm->process.vm, 0);
	} while (!ret && exit.kind == MF_EXIT_RESPOND);
	if (!ret && mf_function_ready(&vm->process, &exit, &vm->ready))
		ret = mf_error_set(err, MF_STOP_NO_ANSWER,
				   "the guest waits for requests in a way that makes no sense");
	return ret;
}

static int run_request(struct mf_lib_vm *vm, uint64_t timeout_ns,
		       struct mf_function_response *response, struct mf_error *err)
{
	struct mf_lib_seat seat;
	struct mf_lib_run run = {
		.seat = &seat,
		.image = vm->image,
		.deadline_ns = mf_lib_deadline(timeout_ns),
		.private_pages = vm->image->policy.private_pages,
	};
	int ret;

	mf_lib_seat_take(vm->image->host, &seat);
	ret = serve(vm, &run, response, err);
	mf_lib_seat_leave(&seat);
	if (ret) {
		mf_lib_vm_ended(vm, ret);
		mf_function_response_finish(response);
		return ret;
	}
	vm->stack = mf_process_stack(&vm->process);
	return 0;
}

int mf_vm_request(struct mf_vm *handle, const struct mf_message *message, uint64_t timeout_ns,
		  struct mf_reply *reply, struct mf_error *err)
{
	struct mf_lib_vm *vm = mf_lib_vm(handle);
	struct mf_function_response response = {0};
	int ret = may_serve(vm, err);

	if (!ret)
		ret = mf_lib_vm_begin(vm, err);
	if (!ret)
		ret = deliver(vm, message, err);
	if (!ret)
		ret = run_request(vm, timeout_ns, &response, err);
	if (ret)
		return ret;
	*reply = (struct mf_reply){
		.status = response.status,
		.headers = response.headers,
		.headers_bytes = response.headers_bytes,
		.body = response.body,
		.body_bytes = response.body_bytes,
	};
	return 0;
}

void mf_reply_finish(struct mf_reply *reply)
{
	struct mf_function_response response = {
		.status = reply->status,
		.headers = reply->headers,
		.headers_bytes = reply->headers_bytes,
		.body = reply->body,
		.body_bytes = reply->body_bytes,
	};

	mf_function_response_finish(&response);
	memset(reply, 0, sizeof(*reply));
}
