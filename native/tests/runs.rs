//! Sockets on loopback: what is sent in runs arrives as it was, and what is not genuine is handed on as it came.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use pilotgate_native::keys::{self, HEADER_BYTES, TAG_BYTES};
use pilotgate_native::senders::Senders;
use pilotgate_native::socket::UdpRuns;

const BUFFER: usize = 4 << 20;

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn plain_socket() -> UdpSocket {
    let socket = UdpSocket::bind(loopback()).expect("a socket");
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(BUFFER)
        .expect("a buffer");
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a time limit");
    socket
}

/// A sealed frame of `sender` with this counter.
fn frame(sender: u32, counter: u64, plain: &[u8], key: u32) -> Vec<u8> {
    let mut out = vec![0; HEADER_BYTES + plain.len() + TAG_BYTES];
    out[..4].copy_from_slice(b"PILS");
    out[4..8].copy_from_slice(&sender.to_be_bytes());
    out[12..20].copy_from_slice(&counter.to_be_bytes());
    let (head, rest) = out.split_at_mut(HEADER_BYTES);
    assert!(
        keys::get(key)
            .expect("a key")
            .seal(&head[8..], &head[4..8], plain, rest)
    );
    out
}

#[test]
fn datagrams_of_any_sizes_arrive_whole_and_in_order() {
    let receiver = plain_socket();
    let mut port = UdpRuns::bind(loopback(), BUFFER).expect("a port");
    let to = receiver.local_addr().expect("an address");
    // Equal ones make a run; any other size ends it, and so does the limit of a run.
    let mut sizes = vec![1_200; 5];
    sizes.extend([700, 1_200, 1_300, 1_300, 9, 60_000, 60_000, 1]);
    sizes.extend([100; 200]);
    for (at, size) in sizes.iter().enumerate() {
        port.push(to, *size, |out| {
            out.fill(at as u8);
            true
        });
    }
    port.flush();
    let mut buffer = vec![0; 65_536];
    for (at, size) in sizes.iter().enumerate() {
        let length = receiver
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("datagram {at}: {error}"));
        assert_eq!(length, *size, "datagram {at}");
        assert!(
            buffer[..length].iter().all(|byte| *byte == at as u8),
            "datagram {at}"
        );
    }
    assert_eq!((port.errors(), port.backlog()), (0, 0));
}

#[test]
fn runs_alternate_between_destinations() {
    let receivers = [plain_socket(), plain_socket()];
    let mut port = UdpRuns::bind(loopback(), BUFFER).expect("a port");
    for turn in 0..20u8 {
        let to = receivers[usize::from(turn % 2)]
            .local_addr()
            .expect("an address");
        port.push(to, 100, |out| {
            out.fill(turn);
            true
        });
    }
    port.flush();
    let mut buffer = [0; 200];
    for (at, receiver) in receivers.iter().enumerate() {
        for turn in (at as u8..20).step_by(2) {
            assert_eq!(receiver.recv(&mut buffer).expect("a datagram"), 100);
            assert_eq!(buffer[0], turn);
        }
    }
}

#[test]
fn a_datagram_that_cannot_be_written_is_left_out() {
    let receiver = plain_socket();
    let mut port = UdpRuns::bind(loopback(), BUFFER).expect("a port");
    let to = receiver.local_addr().expect("an address");
    for byte in 0..4u8 {
        port.push(to, 50, |out| {
            out.fill(byte);
            byte != 1
        });
    }
    port.push("[::1]:9".parse().expect("an address"), 50, |_| true); // an IPv4 socket does not reach it
    port.push("127.0.0.1:0".parse().expect("an address"), 50, |_| true); // nor anybody this
    port.flush();
    let mut buffer = [0; 100];
    for byte in [0, 2, 3] {
        assert_eq!(receiver.recv(&mut buffer).expect("a datagram"), 50);
        assert_eq!(buffer[0], byte);
    }
    assert_eq!(port.errors(), 1);
}

#[test]
fn what_arrives_is_told_apart_by_datagram() {
    let sender = plain_socket();
    let mut port = UdpRuns::bind(loopback(), BUFFER).expect("a port");
    let to = port.local().expect("an address");
    assert_eq!(port.receive(), 0, "nothing has arrived");
    let sizes = [1usize, 1_400, 1_400, 3, 60_000];
    for (at, size) in sizes.iter().enumerate() {
        sender.send_to(&vec![at as u8; *size], to).expect("sent");
    }
    let mut got = Vec::new();
    for _ in 0..100 {
        if port.receive() == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        got.extend(port.datagrams().map(|(from, bytes)| {
            assert_eq!(from, sender.local_addr().expect("an address"));
            (bytes.len(), bytes.first().copied())
        }));
        if got.len() == sizes.len() {
            break;
        }
    }
    let expected: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(at, size)| (*size, Some(at as u8)))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn only_genuine_frames_of_known_senders_are_opened() {
    let (old, new) = (
        keys::add(&[1; 32], &[1; 32]).expect("a key"),
        keys::add(&[2; 32], &[2; 32]).expect("a key"),
    );
    let mut senders = Senders::default();
    senders.set(7, [new, old].into_iter().filter_map(keys::get));
    let sealed = frame(7, 1, b"hello", old);
    let mut out = vec![0; sealed.len()];
    assert_eq!(senders.open(&sealed, &mut out), old);
    assert_eq!(&out[..HEADER_BYTES], &sealed[..HEADER_BYTES]);
    assert_eq!(&out[HEADER_BYTES..HEADER_BYTES + 5], b"hello");
    // Every bit matters, and a frame that does not open is handed on untouched.
    for at in 0..sealed.len() * 8 {
        let mut forged = sealed.clone();
        forged[at / 8] ^= 1 << (at % 8);
        assert_eq!(senders.open(&forged, &mut out), 0, "bit {at}");
        assert_eq!(out, forged);
    }
    for length in 0..sealed.len() {
        assert_eq!(
            senders.open(&sealed[..length], &mut out[..length]),
            0,
            "{length} bytes"
        );
        assert_eq!(out[..length], sealed[..length]);
    }
    let stranger = frame(8, 1, b"hello", old);
    assert_eq!(senders.open(&stranger, &mut out), 0);
    senders.set(7, std::iter::empty());
    assert_eq!(senders.open(&sealed, &mut out), 0, "no keys any more");
}

#[test]
fn a_number_never_means_another_key() {
    let first = keys::add(&[1; 32], &[1; 32]).expect("a key");
    keys::remove(first);
    assert!(keys::get(first).is_none());
    assert_ne!(keys::add(&[2; 32], &[2; 32]).expect("a key"), first);
    assert!(keys::add(&[1; 31], &[1; 32]).is_none());
    assert!(keys::get(0).is_none());
}
