//! One UDP socket that sends runs of datagrams to one destination in one system call, and receives many in one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};

/// A GSO send must fit one IP packet, with its headers.
const MAX_RUN_BYTES: usize = 65_000;
/// UDP_MAX_SEGMENTS of older kernels.
const MAX_RUN_DATAGRAMS: usize = 64;
/// The largest datagram, and the largest run that the kernel joins.
const RECEIVE_BYTES: usize = 65_536;
const RECEIVE_BUFFERS: usize = 16;

pub struct UdpRuns {
    socket: Socket,
    state: UdpSocketState,
    is_v6: bool,
    run: Run,
    /// Sealed, and not taken by the kernel yet.
    waiting: VecDeque<Run>,
    waiting_datagrams: usize,
    errors: Cell<u32>,
    buffers: Vec<u8>,
    meta: [RecvMeta; RECEIVE_BUFFERS],
    received: usize,
}

/// Datagrams of one size for one destination. A shorter one at the end would be allowed: but a bridge or a router of a virtual
/// network drops a run as a whole if it is too large for the next link, and a probe of the path's size must not take another
/// one with it.
struct Run {
    to: SocketAddr,
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
}

impl UdpRuns {
    pub fn bind(address: SocketAddr, buffer_bytes: usize) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        // The system's limit applies; `receive_buffer` tells what it has become.
        let _ = socket.set_recv_buffer_size(buffer_bytes);
        let _ = socket.set_send_buffer_size(buffer_bytes);
        let state = UdpSocketState::new((&socket).into())?;
        may_fragment(&socket);
        Ok(Self {
            socket,
            state,
            is_v6: address.is_ipv6(),
            run: Run {
                to: address,
                bytes: Vec::with_capacity(RECEIVE_BYTES),
                segment: 0,
                count: 0,
            },
            waiting: VecDeque::new(),
            waiting_datagrams: 0,
            errors: Cell::new(0),
            buffers: Vec::new(),
            meta: [RecvMeta::default(); RECEIVE_BUFFERS],
            received: 0,
        })
    }

    pub fn local(&self) -> io::Result<SocketAddr> {
        self.socket
            .local_addr()?
            .as_socket()
            .ok_or_else(|| ErrorKind::AddrNotAvailable.into())
    }

    pub fn receive_buffer(&self) -> usize {
        self.socket.recv_buffer_size().unwrap_or(0)
    }

    #[cfg(unix)]
    pub fn descriptor(&self) -> std::os::fd::RawFd {
        std::os::fd::AsRawFd::as_raw_fd(&self.socket)
    }

    pub fn errors(&self) -> u32 {
        self.errors.get()
    }

    /// Datagrams that the kernel has not taken yet.
    pub fn backlog(&self) -> usize {
        self.waiting_datagrams
    }

    /// Appends one datagram, which `write` fills; it leaves with `flush`, or before. The core sends no empty ones.
    pub fn push(&mut self, to: SocketAddr, length: usize, write: impl FnOnce(&mut [u8]) -> bool) {
        let Some(to) = self.reachable(to).filter(|_| length > 0) else {
            return;
        };
        let run = &self.run;
        let most = self.state.max_gso_segments().clamp(1, MAX_RUN_DATAGRAMS);
        let is_over = run.count > 0
            && (run.to != to
                || length != run.segment
                || run.count >= most
                || run.bytes.len() + length > MAX_RUN_BYTES);
        if is_over {
            self.flush();
        }
        let run = &mut self.run;
        let at = run.bytes.len();
        run.bytes.resize(at + length, 0);
        if !write(&mut run.bytes[at..]) {
            run.bytes.truncate(at);
            self.errors.set(self.errors.get().wrapping_add(1));
            return;
        }
        if run.count == 0 {
            run.to = to;
            run.segment = length;
        }
        run.count += 1;
    }

    pub fn flush(&mut self) {
        if self.run.count == 0 {
            return;
        }
        let is_sent = self.waiting.is_empty() && self.send(&self.run);
        if is_sent {
            self.run.bytes.clear();
        } else {
            let bytes = std::mem::replace(&mut self.run.bytes, Vec::with_capacity(RECEIVE_BYTES));
            self.waiting_datagrams += self.run.count;
            let Run {
                to, segment, count, ..
            } = self.run;
            self.waiting.push_back(Run {
                to,
                bytes,
                segment,
                count,
            });
        }
        self.run.count = 0;
    }

    /// Sends what waits, as far as the kernel takes it. Returns true if nothing waits any more.
    pub fn retry(&mut self) -> bool {
        while let Some(run) = self.waiting.pop_front() {
            if !self.send(&run) {
                self.waiting.push_front(run);
                return false;
            }
            self.waiting_datagrams -= run.count;
        }
        true
    }

    /// Returns false if the kernel has no room now. A datagram that it refuses for any other reason is lost, as on a
    /// network.
    fn send(&self, run: &Run) -> bool {
        let errors = &self.errors;
        let transmit = |contents, segment_size| Transmit {
            destination: run.to,
            ecn: None,
            contents,
            segment_size,
            src_ip: None,
        };
        let whole = transmit(&run.bytes, (run.count > 1).then_some(run.segment));
        match self.state.try_send((&self.socket).into(), &whole) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            // No segmentation for this destination, or not this size: one by one.
            Err(_) if run.count > 1 => {
                for one in run.bytes.chunks(run.segment) {
                    let sent = self
                        .state
                        .try_send((&self.socket).into(), &transmit(one, None));
                    errors.set(errors.get().wrapping_add(u32::from(sent.is_err())));
                }
                true
            }
            Err(_) => {
                errors.set(errors.get().wrapping_add(1));
                true
            }
        }
    }

    /// Reads what has arrived, and keeps it until the next call. Returns its bytes; 0 if there is nothing.
    pub fn receive(&mut self) -> usize {
        if self.buffers.is_empty() {
            self.buffers = vec![0; RECEIVE_BUFFERS * RECEIVE_BYTES];
        }
        let mut slices: [IoSliceMut<'_>; RECEIVE_BUFFERS] = {
            let mut chunks = self.buffers.chunks_mut(RECEIVE_BYTES);
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()))
        };
        self.received = self
            .state
            .recv((&self.socket).into(), &mut slices, &mut self.meta)
            .unwrap_or(0);
        self.meta[..self.received].iter().map(|meta| meta.len).sum()
    }

    /// Every datagram of the last `receive`, in order.
    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.meta[..self.received]
            .iter()
            .enumerate()
            .flat_map(|(at, meta)| {
                let bytes = &self.buffers[at * RECEIVE_BYTES..][..meta.len];
                let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
                bytes.chunks(meta.stride.max(1)).map(move |one| (from, one))
            })
    }

    /// An IPv4 socket reaches no IPv6 address; port 0 and addresses of no kind are nowhere.
    fn reachable(&self, to: SocketAddr) -> Option<SocketAddr> {
        match to {
            _ if to.port() == 0 => None,
            SocketAddr::V4(v4) if self.is_v6 => Some((v4.ip().to_ipv6_mapped(), v4.port()).into()),
            SocketAddr::V6(_) if !self.is_v6 => None,
            _ => Some(to),
        }
    }
}

/// quinn-udp forbids fragmentation. The port of node:dgram cannot, and both must behave alike on the wire.
fn may_fragment(socket: &Socket) {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        let options = [
            (
                libc::IPPROTO_IP,
                libc::IP_MTU_DISCOVER,
                libc::IP_PMTUDISC_WANT,
            ),
            (
                libc::IPPROTO_IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_PMTUDISC_WANT,
            ),
            (libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0),
        ];
        for (level, name, value) in options {
            // SAFETY: the descriptor is open, and the option is one int, which lives during the call. An error means that
            // the socket is of the other family: nothing to do.
            unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    level,
                    name,
                    (&raw const value).cast(),
                    size_of_val(&value) as _,
                );
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}
