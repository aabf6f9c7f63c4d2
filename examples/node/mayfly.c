/* SPDX-License-Identifier: MIT */
/*
 * Waiting for requests from Node: next(status, body) answers the request before, if there was one,
 * and returns [method, target, body] of the next; null when there is none. The names of Node-API
 * are declared here, so that no header of Node's is needed.
 */
#include <mayfly/abi/call.h>

#include <stdint.h>
#include <unistd.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value napi_callback(napi_env env, napi_callback_info info);

int napi_create_function(napi_env env, const char *name, size_t length, napi_callback *call,
			 void *data, napi_value *result);
int napi_get_cb_info(napi_env env, napi_callback_info info, size_t *count, napi_value *values,
		     napi_value *self, void **data);
int napi_get_value_int32(napi_env env, napi_value value, int32_t *result);
int napi_get_buffer_info(napi_env env, napi_value value, void **bytes, size_t *size);
int napi_create_buffer_copy(napi_env env, size_t size, const void *bytes, void **copy,
			    napi_value *result);
int napi_create_string_utf8(napi_env env, const char *text, size_t length, napi_value *result);
int napi_create_array_with_length(napi_env env, size_t length, napi_value *result);
int napi_set_element(napi_env env, napi_value array, uint32_t index, napi_value value);

static uint8_t room[1 << 20] __attribute__((aligned(16)));

static napi_value request_of(napi_env env)
{
	const struct mf_abi_request *request = (const void *)room;
	napi_value array;
	napi_value item;

	if (napi_create_array_with_length(env, 3, &array))
		return NULL;
	napi_create_string_utf8(env, (const char *)room + request->method.offset,
				request->method.length, &item);
	napi_set_element(env, array, 0, item);
	napi_create_string_utf8(env, (const char *)room + request->target.offset,
				request->target.length, &item);
	napi_set_element(env, array, 1, item);
	napi_create_buffer_copy(env, request->body.length, room + request->body.offset, NULL,
				&item);
	napi_set_element(env, array, 2, item);
	return array;
}

static napi_value next(napi_env env, napi_callback_info info)
{
	struct mf_abi_ready ready = {
		.version = MF_ABI_VERSION, .buffer = (uintptr_t)room, .buffer_bytes = sizeof(room)};
	napi_value values[2];
	size_t count = 2;
	int32_t status;
	void *body;
	size_t size;

	napi_get_cb_info(env, info, &count, values, NULL, NULL);
	if (count == 2 && !napi_get_value_int32(env, values[0], &status) &&
	    !napi_get_buffer_info(env, values[1], &body, &size)) {
		ready.flags = MF_READY_RESPONSE;
		ready.response = (struct mf_abi_response){.version = MF_ABI_VERSION,
							  .status = (uint32_t)status,
							  .body = (uintptr_t)body,
							  .body_bytes = size};
	}
	return syscall(MF_CALL_READY, &ready) > 0 ? request_of(env) : NULL;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	napi_value function;

	return napi_create_function(env, "next", 4, next, NULL, &function) ? exports : function;
}
