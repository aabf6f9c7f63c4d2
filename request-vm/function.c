/* SPDX-License-Identifier: MIT */
#include "request-vm/function.h"

#include "engine/mem/pt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_ready(const struct mf_process *process, const struct mf_exit *exit,
		      struct mf_abi_ready *ready)
{
	if (mf_pt_read(&process->vm.mem, MF_GVA(exit->arg[0]), ready, sizeof(*ready)))
		return -EFAULT;
	return ready->version == MF_ABI_VERSION ? 0 : -EINVAL;
}

bool mf_ready_point_is_sane(const struct mf_ready_point *ready)
{
	if (ready->kind == MF_READY_LISTENER)
		return !ready->reserved && !ready->buffer && !ready->buffer_bytes;
	return ready->kind == MF_READY_BUFFER && !ready->reserved && !(ready->buffer % 16) &&
	       ready->buffer_bytes >= sizeof(struct mf_abi_request) &&
	       ready->buffer_bytes <= UINT32_MAX &&
	       ready->buffer <= (1ull << 47) - ready->buffer_bytes;
}

int mf_function_ready(const struct mf_process *process, const struct mf_exit *exit,
		      struct mf_ready_point *ready)
{
	struct mf_abi_ready abi;
	int ret = read_ready(process, exit, &abi);

	if (ret)
		return ret;
	*ready = (struct mf_ready_point){.buffer = abi.buffer, .buffer_bytes = abi.buffer_bytes};
	return mf_ready_point_is_sane(ready) ? 0 : -EINVAL;
}

int mf_function_deliver(struct mf_process *process, const struct mf_ready_point *ready,
			const void *request, size_t bytes)
{
	if (bytes > ready->buffer_bytes)
		return -EMSGSIZE;
	if (mf_pt_write(&process->vm.mem, MF_GVA(ready->buffer), request, bytes))
		return -EFAULT;
	mf_vm_answer(&process->vm, (int64_t)bytes);
	return 0;
}

static int take(const struct mf_process *process, uint64_t at, uint64_t bytes, size_t limit,
		void **out)
{
	uint8_t *copy;
	int ret;

	*out = NULL;
	if (!bytes)
		return 0;
	if (bytes > limit)
		return -EMSGSIZE;
	copy = malloc(bytes + 1);
	if (!copy)
		return -ENOMEM;
	ret = mf_pt_read(&process->vm.mem, MF_GVA(at), copy, bytes);
	if (ret) {
		free(copy);
		return ret;
	}
	copy[bytes] = 0;
	*out = copy;
	return 0;
}

static int read_response(const struct mf_process *process, const struct mf_exit *exit,
			 struct mf_abi_response *abi)
{
	struct mf_abi_ready ready;
	int ret;

	if (exit->kind == MF_EXIT_RESPOND)
		return mf_pt_read(&process->vm.mem, MF_GVA(exit->arg[0]), abi, sizeof(*abi));
	ret = read_ready(process, exit, &ready);
	if (ret)
		return ret;
	*abi = ready.response;
	return ready.flags & MF_READY_RESPONSE ? 0 : -ENOMSG;
}

int mf_function_response(const struct mf_process *process, const struct mf_exit *exit,
			 struct mf_function_response *response)
{
	struct mf_abi_response abi;
	int ret = read_response(process, exit, &abi);

	memset(response, 0, sizeof(*response));
	if (ret)
		return ret;
	if (abi.version != MF_ABI_VERSION || abi.status < 200 || abi.status > 599)
		return -EINVAL;
	ret = take(process, abi.headers, abi.headers_bytes, MF_RESPONSE_HEADERS_MAX_BYTES,
		   (void **)&response->headers);
	if (!ret)
		ret = take(process, abi.body, abi.body_bytes, MF_RESPONSE_MAX_BYTES,
			   (void **)&response->body);
	response->status = (int)abi.status;
	response->headers_bytes = abi.headers_bytes;
	response->body_bytes = abi.body_bytes;
	if (ret)
		mf_function_response_finish(response);
	return ret;
}

static void wipe(void *at, size_t bytes)
{
	if (at)
		explicit_bzero(at, bytes);
	free(at);
}

void mf_function_response_finish(struct mf_function_response *response)
{
	wipe(response->headers, response->headers ? response->headers_bytes : 0);
	wipe(response->body, response->body ? response->body_bytes : 0);
	memset(response, 0, sizeof(*response));
}
