//! The native half of `src/runtime/native/`: it seals, sends, receives and opens datagrams in batches, and nothing else.
//! No rule of the protocol is here: nonces, replay windows, paths and streams belong to the core.
//!
//! Without the feature `node` it is what tests and fuzzers link: everything that does not call Node.

pub mod keys;
pub mod senders;
pub mod socket;

#[cfg(feature = "node")]
mod callback;
#[cfg(feature = "node")]
mod node;
#[cfg(feature = "node")]
mod poll;
