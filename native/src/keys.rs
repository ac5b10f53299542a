//! AES-256-GCM keys of this thread, by the number that JavaScript knows them by.
//!
//! Nonces are chosen by the caller (tunnel.md §3.1): nothing here counts, so nothing here can repeat one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Before the ciphertext: magic (4), sender (4), prefix (4), counter (8). The nonce is the last twelve bytes, the
/// additional data the sender.
pub const HEADER_BYTES: usize = 20;
pub const TAG_BYTES: usize = 16;
pub const KEY_BYTES: usize = 32;
pub const NONCE_BYTES: usize = 12;

/// What one session seals with, and what it opens with.
pub struct KeyPair {
    pub id: u32,
    sealing: LessSafeKey,
    opening: LessSafeKey,
}

thread_local! {
    static KEYS: RefCell<Keys> = RefCell::new(Keys { by_id: HashMap::new(), next: 1 });
}

struct Keys {
    by_id: HashMap<u32, Rc<KeyPair>>,
    next: u32,
}

/// The number of the new key. A number is never used again: a frame that an old key has opened must not pass for a frame
/// of a new one. `None` if a key is not 32 bytes long.
pub fn add(sealing: &[u8], opening: &[u8]) -> Option<u32> {
    let (sealing, opening) = (key_of(sealing)?, key_of(opening)?);
    KEYS.with_borrow_mut(|keys| {
        let id = keys.next;
        keys.next = id.checked_add(1)?;
        keys.by_id.insert(
            id,
            Rc::new(KeyPair {
                id,
                sealing,
                opening,
            }),
        );
        Some(id)
    })
}

pub fn remove(id: u32) {
    // A key may be collected after its thread has put the table away.
    let _ = KEYS.try_with(|keys| keys.borrow_mut().by_id.remove(&id));
}

pub fn get(id: u32) -> Option<Rc<KeyPair>> {
    KEYS.with_borrow(|keys| keys.by_id.get(&id).cloned())
}

impl KeyPair {
    /// Writes ciphertext and tag of `plain` to `out`, which is as long as both.
    pub fn seal(&self, nonce: &[u8], aad: &[u8], plain: &[u8], out: &mut [u8]) -> bool {
        let Some((text, tag)) = out.split_at_mut_checked(plain.len()) else {
            return false;
        };
        let Ok(nonce) = Nonce::try_assume_unique_for_key(nonce) else {
            return false;
        };
        self.sealing
            .seal_out_of_place_scatter(nonce, Aad::from(aad), plain, text, &[], tag)
            .is_ok()
    }

    /// Writes the plaintext to `out`, which is as long as the ciphertext. `out` is worthless if this returns false.
    pub fn open(&self, nonce: &[u8], aad: &[u8], text: &[u8], tag: &[u8], out: &mut [u8]) -> bool {
        let Ok(nonce) = Nonce::try_assume_unique_for_key(nonce) else {
            return false;
        };
        self.opening
            .open_separate_gather(nonce, Aad::from(aad), text, tag, out)
            .is_ok()
    }

    /// Opens a sealed frame. `out` is as long as the frame and gets its header, the plaintext and 16 bytes without
    /// meaning; it is worthless if this returns false.
    pub fn open_frame(&self, frame: &[u8], out: &mut [u8]) -> bool {
        if frame.len() < HEADER_BYTES + TAG_BYTES {
            return false;
        }
        let tag_at = frame.len() - TAG_BYTES;
        let (head, rest) = out.split_at_mut(HEADER_BYTES);
        head.copy_from_slice(&frame[..HEADER_BYTES]);
        self.open(
            &frame[8..HEADER_BYTES],
            &frame[4..8],
            &frame[HEADER_BYTES..tag_at],
            &frame[tag_at..],
            &mut rest[..tag_at - HEADER_BYTES],
        )
    }
}

fn key_of(bytes: &[u8]) -> Option<LessSafeKey> {
    if bytes.len() != KEY_BYTES {
        return None;
    }
    UnboundKey::new(&AES_256_GCM, bytes)
        .ok()
        .map(LessSafeKey::new)
}
