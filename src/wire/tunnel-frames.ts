/**
 * Frames between tunnel peers, one per datagram or per relayed message (tunnel.md §2), big-endian:
 *
 *   PILS sealed packet   magic(4) sender(4) prefix(4) counter(8) ciphertext tag(16)   nonce = prefix || counter
 *   PILA key exchange    magic(4) sender(4) x25519(32) ed25519(32) signature(64) [binding(72) [continuation(20)]]
 *   PILK the same, bare  magic(4) sender(4) x25519(32)                                recognised, never accepted
 *   PILP hole punch      magic(4)
 *   PILT plain packet    magic(4) packet                                              off unless a test asks
 *
 * Binding and continuation of a PILA are ours (extensions.md §6): "PGA1"(4) recipient(4) signature(64), "PGC1"(4) code(16).
 * Every other program ignores them.
 */
import { readU32, utf8, writeU32 } from '../base/bytes.ts'
import type { NodeId } from '../base/types.ts'

export const MAGIC_SEALED = 0x5049_4c53 // "PILS"
export const MAGIC_AUTH = 0x5049_4c41 // "PILA"
export const MAGIC_KEY = 0x5049_4c4b // "PILK"
export const MAGIC_PUNCH = 0x5049_4c50 // "PILP"
export const MAGIC_PLAIN = 0x5049_4c54 // "PILT"

export const MAGIC_BYTES = 4
/** Before the ciphertext of a sealed frame. */
export const SEALED_HEADER_BYTES = 20
/**
 * Bytes that sealing adds to a packet: the header, and AEAD_TAG_BYTES of crypto/aead.ts. A shorter PILS is not a sealed
 * frame.
 */
export const SEALED_OVERHEAD_BYTES = 36
export const AUTH_FRAME_BYTES = 136
export const BOUND_AUTH_FRAME_BYTES = AUTH_FRAME_BYTES + 72
/** After it: which session the sender continues from. */
export const CONTINUED_AUTH_FRAME_BYTES = BOUND_AUTH_FRAME_BYTES + 20
export const KEY_FRAME_BYTES = 40

export type FrameFault = 'too_short' | 'bad_magic'

export interface AuthFrame {
  readonly sender: NodeId
  readonly x25519: Uint8Array // 32 bytes
  readonly ed25519: Uint8Array // 32 bytes
  readonly signature: Uint8Array // 64 bytes over authChallenge(sender, x25519)
  readonly binding?: AuthBinding | undefined
}

/** The recipient of the X25519 key of an AuthFrame. */
export interface AuthBinding {
  readonly recipient: NodeId
  readonly signature: Uint8Array // 64 bytes over boundChallenge(…)
  /** 16 bytes, a code under the proof of a session: this key replaces its keys, and the sender has not restarted. */
  readonly continuation?: Uint8Array | undefined
}

/** One end of a tunnel. Keys of 32 bytes. */
export interface TunnelEnd {
  readonly node: NodeId
  readonly ed25519: Uint8Array
  readonly x25519: Uint8Array
}

export interface KeyFrame {
  readonly sender: NodeId
  readonly x25519: Uint8Array // 32 bytes
}

/** Writes the 20 bytes before the ciphertext; out[at + 8 .. at + 20) is then the nonce, out[at + 4 .. at + 8) the AAD. */
export function encodeSealedHeader(
  out: Uint8Array,
  at: number,
  sender: NodeId,
  prefix: number,
  counterHigh: number,
  counterLow: number,
): void {
  writeU32(out, at, MAGIC_SEALED)
  writeU32(out, at + 4, sender)
  writeU32(out, at + 8, prefix)
  writeU32(out, at + 12, counterHigh)
  writeU32(out, at + 16, counterLow)
}

/** The readers below expect at least SEALED_HEADER_BYTES that begin with MAGIC_SEALED. */
export function sealedSender(bytes: Uint8Array): NodeId {
  return readU32(bytes, 4)
}

export function sealedPrefix(bytes: Uint8Array): number {
  return readU32(bytes, 8)
}

export function sealedCounterHigh(bytes: Uint8Array): number {
  return readU32(bytes, 12)
}

export function sealedCounterLow(bytes: Uint8Array): number {
  return readU32(bytes, 16)
}

/**
 * Views into `bytes`: copy anything that outlives the datagram. Trailing bytes are ignored. The signature is not
 * checked.
 */
export function decodeAuthFrame(bytes: Uint8Array): AuthFrame | FrameFault {
  if (bytes.length < AUTH_FRAME_BYTES) return 'too_short'
  if (readU32(bytes, 0) !== MAGIC_AUTH) return 'bad_magic'
  return {
    sender: readU32(bytes, 4),
    x25519: bytes.subarray(8, 40),
    ed25519: bytes.subarray(40, 72),
    signature: bytes.subarray(72, AUTH_FRAME_BYTES),
    ...(bytes.length >= BOUND_AUTH_FRAME_BYTES &&
      readU32(bytes, AUTH_FRAME_BYTES) === MAGIC_BINDING && {
        binding: {
          recipient: readU32(bytes, AUTH_FRAME_BYTES + 4),
          signature: bytes.subarray(AUTH_FRAME_BYTES + 8, BOUND_AUTH_FRAME_BYTES),
          ...(bytes.length >= CONTINUED_AUTH_FRAME_BYTES &&
            readU32(bytes, BOUND_AUTH_FRAME_BYTES) === MAGIC_CONTINUATION && {
              continuation: bytes.subarray(BOUND_AUTH_FRAME_BYTES + 4, CONTINUED_AUTH_FRAME_BYTES),
            }),
        },
      }),
  }
}

/** @throws RangeError if a key or a signature has the wrong length. */
export function encodeAuthFrame(frame: AuthFrame): Uint8Array {
  const { binding } = frame
  const out = new Uint8Array(authFrameBytes(frame))
  writeU32(out, 0, MAGIC_AUTH)
  writeU32(out, 4, frame.sender)
  put(out, 8, frame.x25519, 32)
  put(out, 40, frame.ed25519, 32)
  put(out, 72, frame.signature, 64)
  if (binding !== undefined) {
    writeU32(out, AUTH_FRAME_BYTES, MAGIC_BINDING)
    writeU32(out, AUTH_FRAME_BYTES + 4, binding.recipient)
    put(out, AUTH_FRAME_BYTES + 8, binding.signature, 64)
    if (binding.continuation !== undefined) {
      writeU32(out, BOUND_AUTH_FRAME_BYTES, MAGIC_CONTINUATION)
      put(out, BOUND_AUTH_FRAME_BYTES + 4, binding.continuation, 16)
    }
  }
  return out
}

/** How long it is on the wire. */
export function authFrameBytes({ binding }: AuthFrame): number {
  if (binding === undefined) return AUTH_FRAME_BYTES
  return binding.continuation === undefined ? BOUND_AUTH_FRAME_BYTES : CONTINUED_AUTH_FRAME_BYTES
}

/** What the signature of an AuthFrame covers: "auth" sender(4) x25519(32), 40 bytes. */
export function authChallenge(sender: NodeId, x25519: Uint8Array): Uint8Array {
  const out = new Uint8Array(40)
  writeU32(out, 0, CHALLENGE_AUTH)
  writeU32(out, 4, sender)
  put(out, 8, x25519, 32)
  return out
}

/**
 * What the signature of an AuthBinding covers: "pilotgate-auth-v1" sender(4) ed25519(32) x25519(32) recipient(4)
 * ed25519(32), 121 bytes. Nothing else that an identity signs begins with these bytes.
 */
export function boundChallenge(sender: TunnelEnd, recipient: NodeId, recipientKey: Uint8Array): Uint8Array {
  const at = BOUND_CONTEXT.length
  const out = new Uint8Array(at + 104)
  out.set(BOUND_CONTEXT)
  writeU32(out, at, sender.node)
  put(out, at + 4, sender.ed25519, 32)
  put(out, at + 36, sender.x25519, 32)
  writeU32(out, at + 68, recipient)
  put(out, at + 72, recipientKey, 32)
  return out
}

/**
 * The context of the key derivation if both ends send bindings: "pilotgate-tunnel-v1", then node(4)
 * ed25519(32) x25519(32) of each end, the lower node id first; 155 bytes, the same at both ends.
 */
export function tunnelTranscript(a: TunnelEnd, b: TunnelEnd): Uint8Array {
  const out = new Uint8Array(TUNNEL_CONTEXT.length + 136)
  out.set(TUNNEL_CONTEXT)
  let at = TUNNEL_CONTEXT.length
  for (const { node, ed25519, x25519 } of a.node < b.node ? [a, b] : [b, a]) {
    writeU32(out, at, node)
    put(out, at + 4, ed25519, 32)
    put(out, at + 36, x25519, 32)
    at += 68
  }
  return out
}

/** Views into `bytes`; trailing bytes are ignored. */
export function decodeKeyFrame(bytes: Uint8Array): KeyFrame | FrameFault {
  if (bytes.length < KEY_FRAME_BYTES) return 'too_short'
  if (readU32(bytes, 0) !== MAGIC_KEY) return 'bad_magic'
  return { sender: readU32(bytes, 4), x25519: bytes.subarray(8, KEY_FRAME_BYTES) }
}

/** @throws RangeError if the key has the wrong length. */
export function encodeKeyFrame(frame: KeyFrame): Uint8Array {
  const out = new Uint8Array(KEY_FRAME_BYTES)
  writeU32(out, 0, MAGIC_KEY)
  writeU32(out, 4, frame.sender)
  put(out, 8, frame.x25519, 32)
  return out
}

/** Carries nothing: its only purpose is to get through. */
export function encodePunchFrame(): Uint8Array {
  const out = new Uint8Array(MAGIC_BYTES)
  writeU32(out, 0, MAGIC_PUNCH)
  return out
}

function put(out: Uint8Array, at: number, part: Uint8Array, length: number): void {
  if (part.length !== length) throw new RangeError(`expected ${length} bytes, got ${part.length}`)
  out.set(part, at)
}

const MAGIC_BINDING = 0x5047_4131 // "PGA1"
const MAGIC_CONTINUATION = 0x5047_4331 // "PGC1"
const BOUND_CONTEXT = utf8('pilotgate-auth-v1')
const TUNNEL_CONTEXT = utf8('pilotgate-tunnel-v1')
const CHALLENGE_AUTH = 0x6175_7468 // "auth", without the colon of the text challenges
