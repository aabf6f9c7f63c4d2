#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What clients of a pool see: fresh VMs, bounds, deadlines, crashes, limits, keep-alive and its opposite."""
import socket
import time

from serving import EMULATED, SLOWER, SOON, Server, wait_until
from claims import check, claim, fail, main, matches, same


def answers_with(answer, status, error, what):
    if isinstance(answer, Exception):
        fail(f"{what}: no answer but {answer!r}")
    if (answer.status, answer.error) != (status, error):
        fail(f"{what}: {answer}, should be {status} {error}")


@claim(emulated=True)
def a_burst_of_four_times_the_pool_is_served():
    vms = 4 if EMULATED else 16
    with Server(vms=vms) as server:
        for target in ("/count", "/sleep?20", "/busy?5"):
            answers = server.ask_all([target] * (4 * vms))
            for answer in answers:
                answers_with(answer, 200, None, target)
            if target == "/count":
                same({answer.body for answer in answers}, {b"1"}, "counters")


@claim
def a_burst_on_two_workers_is_served_however_the_connections_fall():
    """One worker may get more than its share of connections; the pool's bound is for all together."""
    for _ in range(3):
        with Server("--workers", "2", "--queue", "24", vms=8) as server:
            answers = server.ask_all(["/sleep?100"] * 32)
            bad = [str(answer) for answer in answers if isinstance(answer, Exception) or answer.status != 200]
            same(len(bad), 0, "requests refused though 8 run and 24 may wait", *bad[:3])


@claim
def beyond_the_queue_it_is_503_with_retry_after():
    with Server("--queue", "3", "--workers", "1", "--deadline", "60s", vms=2) as server:
        running = [server.send_only("/sleep") for _ in range(2)]
        server.begun(2)
        answers, threads = server.start_all(["/count"] * 10)
        wait_until(lambda: sum(answer is not None for answer in answers) >= 7, "7 answers while 2 run and 3 wait")
        for answer in answers:
            if answer is not None:
                answers_with(answer, 503, None, "beyond the queue")
                check(int(answer.headers["Retry-After"]) > 0, "Retry-After")
        for sock in running:
            sock.close()
        for thread in threads:
            thread.join()
        same(sorted(answer.status for answer in answers), [200] * 3 + [503] * 7, "3 waited, 7 were refused")
        answers_with(server.ask("/count"), 200, None, "afterwards")


@claim(emulated=True)
def the_deadline_is_504_for_busy_and_for_sleeping_requests():
    with Server("--deadline", f"{300 * SLOWER}ms") as server:
        for target in ("/busy", "/sleep", "/logs"):
            began = time.monotonic()
            answers_with(server.ask(target), 504, None, target)
            took = time.monotonic() - began
            check(0.25 * SLOWER < took < SOON, f"{target}: took {took:.2f} s")
        same(server.ask("/count").body, b"1", "afterwards")


@claim(emulated=True)
def cpu_time_is_each_requests_own():
    with Server("--cpu-time", f"{200 * SLOWER}ms", "--deadline", f"{5 * SLOWER}s") as server:
        for _ in range(3):
            began = time.monotonic()
            answers_with(server.ask("/busy"), 504, None, "a busy request")
            took = time.monotonic() - began
            check(0.15 * SLOWER < took < SOON, f"took {took:.2f} s")
        answers_with(server.ask(f"/sleep?{400 * SLOWER}"), 200, None, "one that sleeps")


@claim
def deadlines_fire_however_long_the_server_was_idle():
    """The watchdog sleeps when nothing runs; it must not fall asleep just as a request begins."""
    with Server("--deadline", "60ms", "--workers", "1", vms=1) as server:
        for i in range(60):
            time.sleep(0.095 + i * 0.0004)
            client = server.client()
            try:
                status = client.ask("/busy").status
            except TimeoutError:
                fail(f"no deadline after an idle time of {95 + i * 0.4:.1f} ms")
            finally:
                client.close()
            same(status, 504, "status")


@claim
def the_deadline_counts_while_a_request_waits():
    with Server("--deadline", "400ms", "--workers", "1", "--queue", "100", vms=1) as server:
        began = time.monotonic()
        answers = server.ask_all(["/busy"] * 50)
        took = time.monotonic() - began
        same({a.status for a in answers}, {504}, "all of them", str([str(a) for a in answers]))
        check(took < SOON, f"took {took:.2f} s: deadlines were added up")
        answers_with(server.ask("/count"), 200, None, "afterwards")


@claim
def a_busy_request_does_not_hold_up_a_short_one():
    with Server("--workers", "1", "--deadline", "60s", vms=4) as server:
        sock = server.send_only("/busy")
        server.begun()
        began = time.monotonic()
        same(server.ask("/count").body, b"1", "the short one")
        check(time.monotonic() - began < SOON, "the short one waited")
        sock.close()


@claim(emulated=True)
def every_kind_of_crash_is_502_and_leaves_a_clean_vm():
    with Server("--audit", vms=2) as server:
        for number in range(8):
            answers_with(server.ask(f"/crash?{number}"), 502, "crash", f"crash {number}")
            same(server.ask("/count").body, b"1", f"after crash {number}")
        for number in (0, 1, 255):
            answers_with(server.ask(f"/exit?{number}"), 502, "crash", f"exit({number})")
        answers_with(server.ask("/none"), 502, "response", "no response")
        same(server.ask("/count").body, b"1", "afterwards")
        same(server.stop(), 0, "exit status")
        matches(r"\b0 unclean", server.log())
        matches(r"request ended: Segmentation fault", server.log())


@claim
def a_memory_bomb_is_502_memory_or_an_error_inside_and_hurts_nobody():
    with Server("--memory", "64M", "--request-memory", "8M", vms=4) as server:
        sock = server.send_only("/sleep?1500")
        for _ in range(1 if EMULATED else 6):
            answer = server.ask("/eat")
            if (answer.status, answer.body) != (200, b"ENOMEM"):
                answers_with(answer, 502, "memory", "the bomb")
            same(server.ask("/count").body, b"1", "another request")
        check(sock.recv(4096).startswith(b"HTTP/1.1 200"), "the request beside it")
        sock.close()
        rss = server.footprint()[0]
        check(rss < 200 << 10, f"the server holds {rss} KiB")


@claim(emulated=True)
def request_memory_bounds_pages_without_a_system_call():
    with Server("--request-memory", "2M", vms=2) as server:
        answers_with(server.ask("/touch?100"), 200, None, "400 KiB")
        answers_with(server.ask("/touch?2000"), 502, "memory", "8 MiB")
        answers_with(server.ask("/touch?100"), 200, None, "400 KiB afterwards")
        same(server.ask("/count").body, b"1", "afterwards")


@claim
def request_memory_holds_when_requests_share_the_processor():
    """A request that is cut into slices must not get its memory anew with each of them."""
    with Server("--request-memory", "4M", "--workers", "1", vms=4) as server:
        busy = [server.send_only("/busy") for _ in range(2)]
        server.begun(2)
        for _ in range(4):
            answers_with(server.ask("/touch?2040"), 502, "memory", "8 MiB")
        for sock in busy:
            sock.close()


@claim
def a_request_that_the_program_has_no_room_for_is_413():
    with Server(vms=2) as server:
        same(len(server.ask("/echo", b"x" * (1 << 20)).body), 1 << 20, "1 MiB, which fits")
        room = (1 << 20) + (64 << 10)
        for size in (room - 200, room, room + 4096, 3 << 20):
            answer = server.ask("/echo", b"x" * size)
            if size < room + 4096:
                check(answer.status in (200, 413), f"{size} bytes: {answer}")
            else:
                same(answer.status, 413, f"{size} bytes")
        for size in range(room - 600, room + 200, 50):
            answer = server.ask("/echo", b"x" * size)
            check(answer.status == 413 or (answer.status == 200 and len(answer.body) == size), f"{size} bytes: {answer}")
        same(server.ask("/count").body, b"1", "afterwards")


@claim
def large_responses_arrive_whole():
    with Server(vms=2) as server:
        for size in (0, 1, 4095, 4096, 100000, 8 << 20):
            answer = server.ask(f"/large?{size}")
            answers_with(answer, 200, None, str(size))
            check(answer.body == b"b" * size, f"{size} bytes: {len(answer.body)} came")


@claim(emulated=True)
def a_client_that_goes_away_frees_the_vm():
    with Server("--deadline", "60s", "--workers", "1", vms=2) as server:
        sent = 0
        for target in ("/sleep", "/busy"):
            for _ in range(3):
                socks = [server.send_only(target) for _ in range(2)]
                sent += 2
                server.begun(sent)
                for sock in socks:
                    sock.close()
                began = time.monotonic()
                answers_with(server.ask("/count"), 200, None, f"after {target}")
                check(time.monotonic() - began < SOON, "the VM was not freed")


@claim
def a_client_that_goes_away_leaves_the_queue():
    with Server("--deadline", "60s", "--workers", "1", "--queue", "4", vms=1) as server:
        running = server.send_only("/sleep")
        server.begun()
        waiting = [server.send_only("/sleep") for _ in range(4)]  # one worker takes them in their order
        same(server.ask("/count").status, 503, "while the queue is full")
        for sock in (*waiting[1:3], waiting[0], waiting[3], running):
            sock.close()
        wait_until(lambda: server.ask("/count").status == 200, "a free VM")


@claim(emulated=True)
def every_request_of_a_connection_gets_a_fresh_vm():
    with Server(vms=4) as server:
        client = server.client()
        for _ in range(5 if EMULATED else 50):
            same(client.ask("/count").body, b"1", "the counter")
        client.close()
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(server.path)
        sock.settimeout(10 * SLOWER)
        sock.sendall(b"GET /count HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        got = b""
        while got.count(b"HTTP/1.1 200") < 20 or not got.endswith(b"\r\n\r\n1"):
            part = sock.recv(65536)
            check(part, f"closed after {got.count(b'HTTP/1.1 200')} answers")
            got += part
        same(got.count(b"\r\n\r\n1"), 20, "fresh counters among pipelined requests")
        sock.close()


@claim
def nothing_that_one_request_knew_is_known_to_the_next():
    with Server("--workers", "1", vms=1) as server:
        same(server.ask("/remember", b"SECRET").body, b"SECRET", "remember")
        same(server.ask("/recall").body, b"nothing", "recall")


@claim(emulated=True)
def reset_never_lets_state_pile_up():
    with Server("--reset", "never", "--workers", "1", vms=1) as server:
        for number in range(1, 6):
            same(server.ask("/count").body, str(number).encode(), "the counter")
        same(server.ask("/remember", b"kept").body, b"kept", "remember")
        same(server.ask("/recall").body, b"kept", "recall")
        answers_with(server.ask("/crash"), 502, "crash", "a crash")
        same(server.ask("/count").body, b"1", "after a crash: the image")


@claim
def reset_never_survives_deadlines_at_the_very_end_of_a_request():
    with Server("--reset", "never", "--deadline", "100ms", "--workers", "1", vms=1) as server:
        for i in range(40):
            server.ask(f"/busy?{96 + i % 8}")
            began = time.monotonic()
            answer = server.ask("/count")
            if answer.status != 504 or time.monotonic() - began < 0.1:  # else it met its own, on a busy machine
                answers_with(answer, 200, None, "the request after one that nearly met its deadline")


@claim
def work_after_the_response_goes_on_and_the_vm_is_taken_meanwhile():
    with Server("--workers", "1", "--deadline", "3s", vms=1) as server:
        began = time.monotonic()
        answers_with(server.ask(f"/after?{600 * SLOWER}"), 200, None, "the response")
        same(server.ask("/count").body, b"1", "the next request, in a fresh VM")
        if not EMULATED:
            took = time.monotonic() - began
            check(0.5 < took < SOON, f"the only VM was free after {took:.2f} s")


@claim
def work_after_the_response_is_ended_by_the_deadline():
    with Server("--workers", "1", "--deadline", "500ms", "--queue", "1", vms=1) as server:
        began = time.monotonic()
        answers_with(server.ask("/after"), 200, None, "the response")
        wait_until(lambda: server.ask("/count").status == 200, "the VM")
        took = time.monotonic() - began
        check(0.4 < took < SOON, f"free after {took:.2f} s")
        same(server.ask("/count").body, b"1", "afterwards")


@claim(emulated=True)
def a_crash_after_the_response_does_not_reach_the_client():
    with Server("--workers", "1", vms=1) as server:
        for number in (0, 2, 4):
            answers_with(server.ask(f"/crash-after?{number}"), 200, None, "the response")
            same(server.ask("/count").body, b"1", "afterwards")


@claim
def health_answers_while_all_vms_are_busy():
    with Server("--workers", "1", "--deadline", "60s", vms=1) as server:
        socks = [server.send_only("/busy") for _ in range(3)]
        server.begun()
        for target, status in (("/healthz", 200), ("/readyz", 200), ("/none", 404)):
            began = time.monotonic()
            same(server.ready(target), status, target)
            check(time.monotonic() - began < SOON, f"{target} waited")
        for sock in socks:
            sock.close()


@claim
def odd_responses_are_answered_properly():
    with Server(vms=1) as server:
        answers_with(server.ask("/header?0"), 200, None, "a header")
        check(server.ask("/header?1").status in (200, 502), "a tab in the type")
        answer = server.ask("/header?2")
        check(answer.status in (204, 502), f"204 with a body: {answer}")
        same(server.ask("/count").body, b"1", "afterwards")


main()
