// SPDX-License-Identifier: MIT

//! Threads, channels, locks, TCP on loopback, and epoll by its own declarations.
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::io::AsRawFd;
use std::sync::{mpsc, Arc, Mutex};
use std::thread;
use std::time::Duration;

#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Event {
    events: u32,
    data: u64,
}

extern "C" {
    fn epoll_create1(flags: i32) -> i32;
    fn epoll_ctl(epoll: i32, op: i32, fd: i32, event: *mut Event) -> i32;
    fn epoll_wait(epoll: i32, events: *mut Event, max: i32, timeout: i32) -> i32;
}

fn serve(listener: TcpListener, clients: usize) -> usize {
    let epoll = unsafe { epoll_create1(0) };
    let mut streams: BTreeMap<u64, TcpStream> = BTreeMap::new();
    let mut event = Event { events: 1, data: 0 };
    unsafe { epoll_ctl(epoll, 1, listener.as_raw_fd(), &mut event) };
    let (mut closed, mut bytes) = (0, 0);
    while closed < clients {
        let mut events = [Event { events: 0, data: 0 }; 16];
        let count = unsafe { epoll_wait(epoll, events.as_mut_ptr(), 16, 5000) };
        for ready in &events[..count as usize] {
            let data = ready.data;
            if data == 0 {
                let (stream, _) = listener.accept().unwrap();
                let fd = stream.as_raw_fd();
                let mut event = Event { events: 1, data: fd as u64 };
                unsafe { epoll_ctl(epoll, 1, fd, &mut event) };
                streams.insert(fd as u64, stream);
                continue;
            }
            let mut buffer = [0u8; 4096];
            let got = streams.get_mut(&data).unwrap().read(&mut buffer).unwrap();
            if got == 0 {
                streams.remove(&data);
                closed += 1;
            } else {
                bytes += got;
                streams.get_mut(&data).unwrap().write_all(&buffer[..got]).unwrap();
            }
        }
    }
    bytes
}

fn main() {
    let total = Arc::new(Mutex::new(0u64));
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let total = Arc::clone(&total);
            thread::spawn(move || (0..1000).for_each(|i| *total.lock().unwrap() += i * n))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("total {}", total.lock().unwrap());
    let (send, receive) = mpsc::channel();
    for n in 0..4 {
        let send = send.clone();
        thread::spawn(move || send.send(n * n).unwrap());
    }
    drop(send);
    println!("sum {}", receive.iter().sum::<i32>());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || serve(listener, 4));
    let clients: Vec<_> = (0..4u8)
        .map(|n| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut back = [0u8; 1000];
                for _ in 0..10 {
                    stream.write_all(&[n; 1000]).unwrap();
                    stream.read_exact(&mut back).unwrap();
                    assert_eq!(back, [n; 1000]);
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    println!("echoed {}", server.join().unwrap());
    println!("{:?}", thread::spawn(|| panic!("on purpose")).join().is_err());
}
