# SPDX-License-Identifier: MIT
"""Waiting for requests from Python: what <mayfly/sdk.h> does for C (include/mayfly/abi/call.h), by ctypes alone."""
import ctypes

READY, VERSION, HAS_RESPONSE = 0x4D460000, 1, 1


class Response(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("status", ctypes.c_uint32), ("headers", ctypes.c_void_p),
                ("headers_bytes", ctypes.c_uint64), ("body", ctypes.c_void_p), ("body_bytes", ctypes.c_uint64)]


class Ready(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("buffer", ctypes.c_uint64),
                ("buffer_bytes", ctypes.c_uint64), ("response", Response)]


class Request(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("size_bytes", ctypes.c_uint32), ("id", ctypes.c_uint64),
                ("method", ctypes.c_uint32 * 2), ("target", ctypes.c_uint32 * 2), ("body", ctypes.c_uint32 * 2),
                ("header_count", ctypes.c_uint32), ("headers_offset", ctypes.c_uint32)]


def serve(handle, buffer_bytes=1 << 20):
    """Calls handle(method, target, body) for each request; it returns (status, content type, bytes)."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    room = ctypes.create_string_buffer(buffer_bytes + 16)
    at = (ctypes.addressof(room) + 15) & ~15
    ready = Ready(VERSION, 0, at, buffer_bytes, Response(VERSION, 200, None, 0, None, 0))
    while call(READY, ctypes.byref(ready)) > 0:
        request = Request.from_address(at)
        method, target, body = (ctypes.string_at(at + offset, length)
                                for offset, length in (request.method, request.target, request.body))
        status, kind, answer = handle(method.decode(), target.decode(), body)
        headers = f"Content-Type: {kind}\r\n".encode()
        ready.flags, ready.response.status = HAS_RESPONSE, status
        ready.response.headers = ctypes.cast(headers, ctypes.c_void_p)
        ready.response.headers_bytes = len(headers)
        ready.response.body, ready.response.body_bytes = ctypes.cast(answer, ctypes.c_void_p), len(answer)
