//! Which keys may open the frames of which node: a copy of what the core knows, renewed whenever a frame does not open.

use std::collections::HashMap;
use std::rc::Rc;

use crate::keys::{HEADER_BYTES, KeyPair, TAG_BYTES};

/// The active session of a node, the next one and the last one.
const KEYS_PER_SENDER: usize = 3;
/// As many as a node keeps peers (MAX_PEERS of proto/node/constants.ts), with room for those that have left: at the limit
/// all are forgotten, and each is told again with its next frame.
const MAX_SENDERS: usize = 32_768;
const MAGIC_SEALED: &[u8] = b"PILS";

#[derive(Default)]
pub struct Senders {
    keys: HashMap<u32, Vec<Rc<KeyPair>>>,
}

impl Senders {
    pub fn set(&mut self, sender: u32, keys: impl Iterator<Item = Rc<KeyPair>>) {
        if self.keys.len() >= MAX_SENDERS && !self.keys.contains_key(&sender) {
            self.keys.clear();
        }
        let keys: Vec<_> = keys.take(KEYS_PER_SENDER).collect();
        if keys.is_empty() {
            self.keys.remove(&sender);
        } else {
            self.keys.insert(sender, keys);
        }
    }

    /// Opens a sealed frame of a known sender into `out`, which is as long. Anything else is copied there as it is.
    ///
    /// Returns the number of the key, or 0.
    pub fn open(&self, datagram: &[u8], out: &mut [u8]) -> u32 {
        if datagram.len() >= HEADER_BYTES + TAG_BYTES && datagram.starts_with(MAGIC_SEALED) {
            let sender = u32::from_be_bytes([datagram[4], datagram[5], datagram[6], datagram[7]]);
            for key in self.keys.get(&sender).map_or(&[][..], Vec::as_slice) {
                if key.open_frame(datagram, out) {
                    return key.id;
                }
            }
        }
        out.copy_from_slice(datagram);
        0
    }
}
