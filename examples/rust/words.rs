// SPDX-License-Identifier: MIT

//! Counts the words of standard input on several threads and prints the most frequent.
use std::collections::HashMap;
use std::io::Read;
use std::sync::mpsc;
use std::thread;

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let (send, receive) = mpsc::channel();
    for part in lines.chunks(lines.len() / 4 + 1).map(<[String]>::to_vec) {
        let send = send.clone();
        thread::spawn(move || {
            let mut counts: HashMap<String, usize> = HashMap::new();
            for word in part.iter().flat_map(|line| line.split_whitespace()) {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
            send.send(counts).unwrap();
        });
    }
    drop(send);
    let mut total: HashMap<String, usize> = HashMap::new();
    for counts in receive {
        for (word, count) in counts {
            *total.entry(word).or_default() += count;
        }
    }
    let mut sorted: Vec<_> = total.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    for (word, count) in sorted.into_iter().take(5) {
        println!("{count:6} {word}");
    }
}
