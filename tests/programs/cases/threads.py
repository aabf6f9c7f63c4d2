# SPDX-License-Identifier: MIT
"""Threads that count under a lock, wait for each other, time out and hand things over."""
import concurrent.futures
import queue
import threading
import time

lock, total = threading.Lock(), 0


def count(times):
    global total
    for _ in range(times):
        with lock:
            total += 1


threads = [threading.Thread(target=count, args=(2000,)) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("counted", total)

event = threading.Event()
began = time.monotonic()
print("event", event.wait(0.05), time.monotonic() - began >= 0.049)
threading.Timer(0.02, event.set).start()
print("event", event.wait(60))

jobs, answers = queue.Queue(), queue.Queue()


def work():
    while (job := jobs.get()) is not None:
        answers.put(job * job)


workers = [threading.Thread(target=work) for _ in range(4)]
for worker in workers:
    worker.start()
for n in range(100):
    jobs.put(n)
for _ in workers:
    jobs.put(None)
for worker in workers:
    worker.join()
print("squares", sum(answers.get() for _ in range(100)))

stop = False


def spin():
    while not stop:
        pass


spinner = threading.Thread(target=spin)
spinner.start()
ticks = 0
for _ in range(10):
    time.sleep(0.005)
    ticks += 1
stop = True
spinner.join()
print("ticks beside a spinning thread", ticks)
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print("pool", sum(pool.map(lambda n: n % 7, range(1000))))
barrier = threading.Barrier(5)
order = []
party = [threading.Thread(target=lambda: order.append(barrier.wait())) for _ in range(5)]
for thread in party:
    thread.start()
for thread in party:
    thread.join()
print("barrier", sorted(order))
