//! What JavaScript sees: `src/runtime/native/addon.ts` has the same in types.

use std::cell::RefCell;
use std::ffi::c_void;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use crate::callback::{self, Callback};
use crate::keys::{self, HEADER_BYTES, TAG_BYTES};
use crate::poll::Watch;
use crate::senders::Senders;
use crate::socket::UdpRuns;

/// The numbers that describe a datagram: where it begins, its length, where its plaintext begins (0: nothing to seal),
/// the number of its key (0: none), port and family (port << 8 | 4 or 6), address (4 words; IPv4 in the first), scope.
const WORDS: usize = 10;

/// The key of one session. It is gone when JavaScript has no reference to it any more.
#[napi]
pub struct NativeKey {
    id: u32,
}

#[napi]
impl NativeKey {
    #[napi(constructor)]
    pub fn new(sealing: &[u8], opening: &[u8]) -> Result<Self> {
        let id = keys::add(sealing, opening)
            .ok_or_else(|| Error::new(Status::InvalidArg, "an AES-256 key has 32 bytes"))?;
        Ok(Self { id })
    }

    /// In `send` and `open` of a port.
    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Writes ciphertext and tag to `out[at..]`. Returns false if they do not fit.
    #[napi(catch_unwind)]
    pub fn seal(
        &self,
        nonce: &[u8],
        aad: &[u8],
        plain: &[u8],
        mut out: Uint8Array,
        at: u32,
    ) -> bool {
        // `plain` may be a part of `out`.
        let plain = plain.to_vec();
        // SAFETY: JavaScript runs on this thread, so nothing else reads or writes the array during this call.
        let out = unsafe { out.as_mut() };
        let end = (at as usize).saturating_add(plain.len() + TAG_BYTES);
        let Some(out) = out.get_mut(at as usize..end) else {
            return false;
        };
        keys::get(self.id).is_some_and(|key| key.seal(nonce, aad, &plain, out))
    }

    /// Writes the plaintext to `out`, which is as long as `sealed` without its tag. Returns false if it is not genuine.
    #[napi(catch_unwind)]
    pub fn open(&self, nonce: &[u8], aad: &[u8], sealed: &[u8], mut out: Uint8Array) -> bool {
        let Some((text, tag)) = sealed.split_last_chunk::<TAG_BYTES>() else {
            return false;
        };
        // SAFETY: as in `seal`; `out` is an array of its own.
        let out = unsafe { out.as_mut() };
        out.len() == text.len()
            && keys::get(self.id).is_some_and(|key| key.open(nonce, aad, text, tag, out))
    }
}

impl Drop for NativeKey {
    fn drop(&mut self) {
        keys::remove(self.id);
    }
}

#[napi]
pub struct NativePort {
    /// `None` once it is closed: the event loop may call a last time.
    shared: Rc<RefCell<Option<UdpRuns>>>,
    senders: Senders,
    /// Of the datagrams last received.
    taken: usize,
    local: SocketAddr,
    receive_buffer: u32,
    open: Option<Box<Open>>,
}

struct Open {
    env: napi::sys::napi_env,
    watch: Option<Watch>,
}

#[napi]
impl NativePort {
    /// @param onReadable called by the event loop when something has arrived
    #[napi(constructor)]
    pub fn new(
        env: Env,
        address: String,
        port: u16,
        buffer_bytes: u32,
        on_readable: Function<'_, (), ()>,
    ) -> Result<Self> {
        let ip: IpAddr = address
            .parse()
            .map_err(|_| Error::new(Status::InvalidArg, "EADDRNOTAVAIL"))?;
        let runs = UdpRuns::bind(SocketAddr::new(ip, port), buffer_bytes as usize)
            .map_err(system_error)?;
        let local = runs.local().map_err(system_error)?;
        let receive_buffer = u32::try_from(runs.receive_buffer()).unwrap_or(u32::MAX);
        let descriptor = runs.descriptor();
        let shared = Rc::new(RefCell::new(Some(runs)));
        let callback = Callback::new(&env, &on_readable)?;
        let socket = Rc::clone(&shared);
        let on_ready = Box::new(move |is_readable: bool, is_writable: bool| {
            if is_writable && let Some(runs) = socket.borrow_mut().as_mut() {
                runs.retry();
            }
            // Also after writing: a call that finds nothing to read stops waiting for more room.
            if is_readable || is_writable {
                callback.call();
            }
        });
        // SAFETY: the loop is the one of this environment, whose thread this is; `close` ends the watch before the socket.
        let watch = unsafe { Watch::new(env.get_uv_event_loop()?.cast(), descriptor, on_ready) }
            .ok_or_else(|| {
                Error::new(
                    Status::GenericFailure,
                    "the event loop cannot watch a socket",
                )
            })?;
        let mut open = Box::new(Open {
            env: env.raw(),
            watch: Some(watch),
        });
        // SAFETY: the box stays where it is until `close` has removed the hook, or the hook has run.
        unsafe { callback::at_exit(open.env, end, (&raw mut *open).cast::<c_void>())? };
        Ok(Self {
            shared,
            senders: Senders::default(),
            taken: 0,
            local,
            receive_buffer,
            open: Some(open),
        })
    }

    #[napi(getter)]
    pub fn local_address(&self) -> String {
        self.local.ip().to_string()
    }

    #[napi(getter)]
    pub fn local_port(&self) -> u16 {
        self.local.port()
    }

    #[napi(getter)]
    pub fn receive_buffer_bytes(&self) -> u32 {
        self.receive_buffer
    }

    /// Datagrams that were described wrongly, or that the system refused for another reason than a lack of room.
    #[napi(getter)]
    pub fn send_errors(&self) -> u32 {
        self.shared.borrow().as_ref().map_or(0, UdpRuns::errors)
    }

    /// Datagrams that wait for the kernel.
    #[napi(getter)]
    pub fn backlog(&self) -> u32 {
        self.shared
            .borrow()
            .as_ref()
            .map_or(0, |runs| u32::try_from(runs.backlog()).unwrap_or(u32::MAX))
    }

    /// Which keys may open the frames of a node, the likeliest first.
    #[napi(catch_unwind)]
    pub fn set_keys(&mut self, sender: u32, ids: Vec<u32>) {
        self.senders
            .set(sender, ids.into_iter().filter_map(keys::get));
    }

    /// Seals and sends the first `count` datagrams of `about` (WORDS numbers each), whose bytes lie in `arena`.
    #[napi(catch_unwind)]
    pub fn send(&mut self, arena: &[u8], about: &[u32], count: u32) {
        let mut shared = self.shared.borrow_mut();
        let Some(runs) = shared.as_mut() else { return };
        let was_waiting = runs.backlog() > 0;
        for words in about.chunks_exact(WORDS).take(count as usize) {
            let at = words[0] as usize;
            let length = words[1] as usize;
            let (Some(datagram), Some(to)) =
                (arena.get(at..at.saturating_add(length)), address_of(words))
            else {
                continue; // nowhere: a beacon whose name does not resolve yet
            };
            match words[3] {
                0 => runs.push(to, length, |out| {
                    out.copy_from_slice(datagram);
                    true
                }),
                id => {
                    let key = keys::get(id);
                    let from = words[2] as usize;
                    runs.push(to, length, |out| {
                        key.is_some_and(|key| seal_datagram(&key, datagram, from, out))
                    });
                }
            }
        }
        runs.flush();
        let is_waiting = runs.backlog() > 0;
        if is_waiting != was_waiting {
            self.watch(is_waiting);
        }
    }

    /// Reads what has arrived. Returns its bytes, which `take` then wants room for; 0 if there is nothing.
    #[napi(catch_unwind)]
    pub fn receive(&mut self) -> u32 {
        let mut shared = self.shared.borrow_mut();
        let Some(runs) = shared.as_mut() else {
            return 0;
        };
        let bytes = runs.receive();
        self.taken = 0;
        if bytes == 0 {
            self.watch(runs.backlog() > 0);
        }
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Opens the next datagrams that the last `receive` has read into `out`, as many as fit, one after the other, and
    /// describes them in `about`. An opened frame keeps its length: header, plaintext, 16 bytes without meaning. Returns
    /// how many; with 0, `about[1]` is the length of the next one, or 0 if there are no more.
    #[napi(catch_unwind)]
    pub fn take(&mut self, mut out: Uint8Array, mut about: Uint32Array) -> u32 {
        // SAFETY: JavaScript runs on this thread, so nothing else reads or writes the arrays during this call; they are
        // two.
        let (out, about) = unsafe { (out.as_mut(), about.as_mut()) };
        let shared = self.shared.borrow();
        let Some(runs) = shared.as_ref() else {
            return 0;
        };
        let (mut at, mut count) = (0, 0);
        let mut next = 0;
        for (from, datagram) in runs.datagrams().skip(self.taken) {
            let (Some(room), Some(words)) = (
                out.get_mut(at..at + datagram.len()),
                about.chunks_exact_mut(WORDS).nth(count),
            ) else {
                next = datagram.len() as u32;
                break;
            };
            words[0] = at as u32;
            words[1] = datagram.len() as u32;
            words[2] = HEADER_BYTES as u32;
            words[3] = self.senders.open(datagram, room);
            describe(from, words);
            at += datagram.len();
            count += 1;
        }
        self.taken += count;
        if count == 0
            && let Some(word) = about.get_mut(1)
        {
            *word = next;
        }
        count as u32
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        // SAFETY: added with these arguments, and not run yet: it would have taken the watch.
        unsafe { callback::not_at_exit(open.env, end, (&raw mut *open).cast::<c_void>()) };
        if let Some(watch) = open.watch.take() {
            watch.close();
        }
        self.shared.replace(None); // libuv does not look at the descriptor any more
    }

    fn watch(&self, for_writing: bool) {
        if let Some(watch) = self.open.as_ref().and_then(|open| open.watch.as_ref()) {
            watch.watch(for_writing);
        }
    }
}

impl Drop for NativePort {
    fn drop(&mut self) {
        self.close();
    }
}

/// The environment ends: libuv must not keep a handle of ours.
unsafe extern "C" fn end(data: *mut c_void) {
    // SAFETY: the box of a port that is not closed.
    if let Some(watch) = unsafe { (*data.cast::<Open>()).watch.take() } {
        watch.close();
    }
}

/// The header as it is, then ciphertext and tag in the place of plaintext and room.
fn seal_datagram(key: &keys::KeyPair, datagram: &[u8], from: usize, out: &mut [u8]) -> bool {
    let Some(plain_end) = datagram.len().checked_sub(TAG_BYTES) else {
        return false;
    };
    if from < HEADER_BYTES || from > plain_end {
        return false;
    }
    let header = &datagram[from - HEADER_BYTES..from];
    out[..from].copy_from_slice(&datagram[..from]);
    key.seal(
        &header[8..],
        &header[4..8],
        &datagram[from..plain_end],
        &mut out[from..],
    )
}

fn address_of(words: &[u32]) -> Option<SocketAddr> {
    let port = u16::try_from(words[4] >> 8).ok()?;
    match words[4] & 0xff {
        4 => Some((Ipv4Addr::from(words[5]), port).into()),
        6 => {
            let mut bits = 0u128;
            for word in &words[5..9] {
                bits = bits << 32 | u128::from(*word);
            }
            Some(SocketAddrV6::new(Ipv6Addr::from(bits), port, 0, words[9]).into())
        }
        _ => None,
    }
}

fn describe(from: SocketAddr, words: &mut [u32]) {
    let port = u32::from(from.port()) << 8;
    match from {
        SocketAddr::V4(v4) => {
            words[4] = port | 4;
            words[5] = u32::from(*v4.ip());
            words[6..10].fill(0);
        }
        SocketAddr::V6(v6) => {
            words[4] = port | 6;
            let bits = u128::from(*v6.ip());
            for (at, word) in words[5..9].iter_mut().enumerate() {
                *word = (bits >> (96 - 32 * at)) as u32;
            }
            words[9] = v6.scope_id();
        }
    }
}

/// The name of the error, as Node has it in `code`.
fn system_error(error: std::io::Error) -> Error {
    let code = match error.raw_os_error() {
        Some(libc::EADDRINUSE) => "EADDRINUSE",
        Some(libc::EADDRNOTAVAIL) => "EADDRNOTAVAIL",
        Some(libc::EACCES) => "EACCES",
        Some(libc::EMFILE) => "EMFILE",
        Some(libc::ENFILE) => "ENFILE",
        _ => "EIO",
    };
    Error::new(Status::GenericFailure, format!("{code}: {error}"))
}
