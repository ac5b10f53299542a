/**
 * The encrypted association with one peer: key exchange by PILA, session keys, rekey (tunnel.md §2 to §5). Neighbours:
 * proto/node passes frames in and decides where outgoing ones go; session.ts seals and opens.
 *
 * A PILA proves who created an X25519 key, not that it is fresh: anyone can replay an old one. So keys in use are
 * replaced only when a sealed frame under the new ones has arrived; until then both are kept, and nothing is lost. Nor
 * does it name the key's recipient, unless it carries a binding (extensions.md §6). If both ends send one, the key of
 * the tunnel is derived from both identities. If not, only the addresses in the packet name the recipient, and `accept`
 * is called only if they are correct.
 */
import { equalBytes, toBase64 } from '../../base/bytes.ts'
import type { Instant, NodeId, RandomBytes } from '../../base/types.ts'
import type { AeadKey, CryptoProvider } from '../../crypto/aead.ts'
import type { Identity } from '../../crypto/identity.ts'
import { verifySignature } from '../../crypto/identity.ts'
import { agreeSessionKey, continuationOf, x25519PublicKey } from '../../crypto/key-agreement.ts'
import type { AuthFrame, TunnelEnd } from '../../wire/tunnel-frames.ts'
import { authChallenge, boundChallenge, encodeAuthFrame, tunnelTranscript } from '../../wire/tunnel-frames.ts'
import type { Machine } from '../machine.ts'
import * as k from './constants.ts'
import type { OpenFault, OpenedFrame } from './session.ts'
import { copyOf, labelOf, sameAuth } from './announced.ts'
import { Session } from './session.ts'
import { KeyAnswers } from './key-answers.ts'

export interface TunnelKeys {
  readonly identity: Identity
  readonly crypto: CryptoProvider
  readonly random: RandomBytes
  /** Instead of REKEY_MS, for tests. */
  readonly rekeyMs?: number | undefined
}

export type AuthResult =
  | 'new_key'
  | 'known_key'
  | 'retired_key'
  | 'wrong_identity'
  | 'wrong_recipient' // it is for another node
  | 'unbound' // no binding, from a peer that sends them
  | 'bad_signature'
  | 'low_order'

/** Bits of `takeNews()`. */
export const TUNNEL_READY = 1 // packets can be sealed
export const TUNNEL_CONFIRMED = 2 // the peer holds the same key
export const TUNNEL_REKEYED = 4 // the peer's key has changed: it may have lost all state
export const TUNNEL_FAILED = 8 // no answer within HANDSHAKE_LIMIT_MS
export const TUNNEL_ASKED = 16 // the peer may have lost its half: a sealed frame, behind our PILA, shows whether

export class Tunnel implements Machine {
  readonly #keys: TunnelKeys
  readonly #ownId: NodeId
  #privateKey: Uint8Array
  #publicKey: Uint8Array
  #peerFrame: AuthFrame | undefined // its latest PILA; the signature is good
  /** When the peer's present key was first confirmed; -Infinity before. A plain peer has another only after a restart. */
  peerKeySince: Instant = -Infinity
  #confirmedPeerKey: string | undefined // the one under which frames were opened, base64
  readonly #retired: string[] = [] // and those before it
  readonly #sessions = new Map<string, Session>() // with our current key, by the peer's
  #keyConfirmed = false // frames were opened under our current X25519 key
  #freshKeyAt: Instant = -Infinity
  /** The peer has sent a binding: it always does, so a key without one was tampered with. */
  #isBinding: boolean
  #active: Session | undefined // seals what we send
  #candidate: Session | undefined // announced while `active` is confirmed
  #previous: Session | undefined // opens frames still in transit
  #previousUntil: Instant = 0
  #isCandidateKnown = false // it is for a key that the peer had announced before: a new one replaces it at once
  #opened: Session | undefined // the session of the last opened frame, until it is accepted
  #frame: Uint8Array | undefined // our PILA under the current key
  #frameFor: Uint8Array | undefined // and the identity that it names
  #authDue = false
  #attempts = 0
  #startedAt: Instant = -1 // of the current exchange; -1: none
  #retryAt: Instant = Infinity
  readonly #answers = new KeyAnswers()
  #nudgedAt: Instant = -Infinity
  #news = 0

  /** @param isBinding the peer is known to send bindings, by an earlier tunnel. */
  constructor(keys: TunnelKeys, ownId: NodeId, isBinding = false) {
    this.#keys = keys
    this.#ownId = ownId
    this.#isBinding = isBinding
    this.#privateKey = keys.random(32)
    this.#publicKey = x25519PublicKey(this.#privateKey)
  }

  get ready(): boolean {
    return this.#active !== undefined
  }
  get confirmed(): boolean {
    return this.#active?.confirmed === true
  }
  get isBinding(): boolean {
    return this.#isBinding
  }
  /** A PILA is due; the node sends it on every path worth trying. */
  get authDue(): boolean {
    return this.#authDue
  }
  get underway(): boolean {
    return this.#startedAt >= 0
  }
  /** Number of unanswered PILA in the current exchange. */
  get attempts(): number {
    return this.underway ? this.#attempts : 0
  }

  /** A NAT between us has just opened: our PILA may pass now, without waiting for its timer. */
  nudge(now: Instant): void {
    if (this.#startedAt < 0 || now - this.#nudgedAt < k.NUDGE_MS) return
    this.#nudgedAt = now
    this.#authDue = true
  }

  takeNews(): number {
    const news = this.#news
    this.#news = 0
    return news
  }

  /**
   * Starts an exchange, unless one is in progress. With a confirmed key, it asks the peer whether it still has its
   * half.
   */
  start(now: Instant): void {
    if (this.#startedAt >= 0) return
    this.#startedAt = now
    this.#attempts = 0
    this.#sendAuth(now)
  }

  /** A sealed frame came that no key opens: its sender has a different key, or none (§3.3 rule 5). */
  showKey(now: Instant): void {
    if (this.#answers.takeRare(now)) this.#authDue = true
  }

  /** The peer asks for our key (PILK): it has lost its half. @returns false if it was answered a moment ago. */
  onAsked(now: Instant): boolean {
    if (!this.confirmed || !this.#answers.takeRare(now)) return false
    this.#answerLost()
    return true
  }

  /** An already answered PILA also came along another path: perhaps only that one works. */
  answerElsewhere(now: Instant): void {
    if (!this.confirmed && this.#answers.takeRepeat(now, 0)) this.#authDue = true
  }

  /** @param peerKey like `expectedKey` below: our key is for the holder of this one. */
  takeAuth(peer: NodeId, peerKey: Uint8Array): Uint8Array {
    this.#authDue = false
    if (this.#frame !== undefined && this.#frameFor === peerKey) return this.#frame
    const { identity } = this.#keys
    const challenge = boundChallenge(this.#ownEnd, peer, peerKey)
    const proof = this.#provenBy
    this.#frameFor = peerKey
    this.#frame = encodeAuthFrame({
      sender: this.#ownId,
      x25519: this.#publicKey,
      ed25519: identity.publicKey,
      signature: identity.sign(authChallenge(this.#ownId, this.#publicKey)),
      binding: {
        recipient: peer,
        signature: identity.sign(challenge),
        continuation: proof && continuationOf(proof, challenge),
      },
    })
    return this.#frame
  }

  /**
   * @param expectedKey the peer's Ed25519 key by pin, trust record or registry: never taken from the frame itself.
   * @param heardAt when a sealed frame of the peer was last opened.
   */
  handleAuth(now: Instant, frame: AuthFrame, expectedKey: Uint8Array, heardAt: Instant): AuthResult {
    if (!equalBytes(frame.ed25519, expectedKey)) return 'wrong_identity'
    const fault = this.#bindingFault(frame)
    if (fault !== undefined) return fault
    if (this.#isKnown(frame)) {
      if (this.#isUnused(frame)) {
        const result = this.#takeKey(now, frame, this.#continues(frame))
        this.#isCandidateKnown = true
        return result
      }
      // The copy that came first may have been cut on its path.
      const announced = this.#candidate
      if (announced?.continues === false && announced.peerKey === toBase64(frame.x25519))
        announced.continues = this.#continues(frame)
      this.#answerKnownKey(now, heardAt)
      return 'known_key'
    }
    if (this.#retired.includes(toBase64(frame.x25519))) return 'retired_key'
    const continues = this.#continues(frame)
    const isPaused = this.#candidate !== undefined && now - this.#candidate.createdAt < k.CANDIDATE_PAUSE_MS
    if (!continues && isPaused && !this.#isCandidateKnown) return 'known_key'
    // Our key and an old one of the peer may have formed a session before, whose frames could be replayed into a new
    // window. So a key announced while a session works is answered with a key of ours that has opened nothing yet.
    if (this.confirmed && this.#keyConfirmed) this.#drawKey()
    return this.#takeKey(now, frame, continues)
  }

  #takeKey(now: Instant, frame: AuthFrame, continues: boolean): AuthResult {
    if (!this.#derive(now, copyOf(frame), continues)) return 'low_order'
    this.#isCandidateKnown = false
    this.#answers.onNewKey(now)
    this.#authDue = true
    return 'new_key'
  }

  /**
   * A known key, but its session with our key is not in use: our key is newer, or the frame that would have confirmed the
   * session was lost, and the peer uses it while we have given it up.
   */
  #isUnused(frame: AuthFrame): boolean {
    const session = this.#sessions.get(labelOf(frame))
    return this.confirmed && this.#candidate === undefined && (session === undefined || session !== this.#active)
  }

  /** @returns the packet inside, or why there is none. It confirms nothing until `accept`. */
  open(now: Instant, frame: Uint8Array, opened?: OpenedFrame): Uint8Array | OpenFault | 'no_key' {
    if (this.#active === undefined) return 'no_key'
    let result: Uint8Array | OpenFault = 'bad_tag'
    for (let i = 0; i < 3 && result === 'bad_tag'; i++) {
      const session = i === 0 ? this.#active : i === 1 ? this.#candidate : this.#previous
      if (session === undefined || (opened !== undefined && opened.key !== session.key)) continue
      this.#opened = session
      result = session.open(frame, opened)
    }
    if (result === 'too_many_prefixes') this.#freshKey(now) // §3.3: new keys rather than forgotten windows
    return result
  }

  /** The frame just opened came under already confirmed keys. */
  get openedConfirmed(): boolean {
    return this.#opened?.confirmed === true
  }

  /** The packet just opened is from the peer and for us: the peer has these keys. */
  accept(now: Instant): void {
    const session = this.#opened
    if (session === undefined || session.confirmed) return
    if (session === this.#candidate) {
      this.#retire(now, this.#active!)
      this.#active = session
      this.#candidate = undefined
      if (!session.continues) this.#news |= TUNNEL_REKEYED
    } else if (session !== this.#active) return
    this.#confirm(now, session)
  }

  /** The keys that may open incoming frames, most likely first. */
  get keys(): AeadKey[] {
    return [this.#active, this.#candidate, this.#previous].flatMap((session) =>
      session === undefined ? [] : [session.key],
    )
  }

  /**
   * Requires `ready`. Writes the header of the next sealed frame at out[at..]. @returns the key that seals the packet after it.
   * @param candidate under the announced key, if there is one: the frame that asks the peer to confirm it.
   */
  stamp(now: Instant, out: Uint8Array, at: number, candidate = false): AeadKey {
    const session = (candidate ? this.#candidate : undefined) ?? this.#active!
    if (session === this.#active && (session.worn || now >= session.renewAt)) this.#renew(now)
    session.stamp(this.#ownId, out, at)
    return session.key
  }

  /** The frame just opened was the first under a new key of the peer: it has restarted. */
  get hasRestarted(): boolean {
    return (this.#news & TUNNEL_REKEYED) !== 0
  }

  get hasCandidate(): boolean {
    return this.#candidate !== undefined
  }

  handleTimeout(now: Instant): void {
    if (this.#previous !== undefined && now >= this.#previousUntil) this.#previous = undefined
    if (this.#candidate !== undefined && now >= this.#candidate.createdAt + k.CANDIDATE_MS) this.#candidate = undefined
    if (now < this.#retryAt) return
    if (now >= this.#startedAt + k.HANDSHAKE_LIMIT_MS) {
      // the same sum as the deadline: a difference may round the other way
      this.#stop()
      this.#news |= TUNNEL_FAILED
      return
    }
    if (this.#attempts === k.FRESH_KEY_AFTER_ATTEMPTS && !this.confirmed) this.#freshKey(now)
    this.#sendAuth(now)
  }

  nextTimeout(): Instant {
    let at = this.#retryAt
    if (this.#previous !== undefined) at = Math.min(at, this.#previousUntil)
    if (this.#candidate !== undefined) at = Math.min(at, this.#candidate.createdAt + k.CANDIDATE_MS)
    return at
  }

  /** A sealed frame of the peer has arrived: any exchange in progress has succeeded. */
  settle(): void {
    if (this.confirmed) this.#stop()
  }

  toJSON(): string {
    return '[tunnel]'
  } // keys must not reach a log

  get #ownEnd(): TunnelEnd {
    return { node: this.#ownId, ed25519: this.#keys.identity.publicKey, x25519: this.#publicKey }
  }

  /**
   * Verifies the signer and the recipient. A PILA comes along every path and is repeated: identical bytes need no
   * second check.
   */
  #bindingFault(frame: AuthFrame): AuthResult | undefined {
    const { sender, x25519, ed25519, signature, binding } = frame
    if (binding === undefined && this.#isBinding) return 'unbound'
    if (binding !== undefined && binding.recipient !== this.#ownId) return 'wrong_recipient'
    if (this.#peerFrame !== undefined && sameAuth(this.#peerFrame, frame)) return undefined
    const isGood =
      binding === undefined
        ? verifySignature(ed25519, authChallenge(sender, x25519), signature)
        : verifySignature(ed25519, this.#challengeOf(frame), binding.signature)
    if (!isGood) return 'bad_signature'
    this.#isBinding ||= binding !== undefined
    return undefined
  }

  /** The key of the last PILA. The same key is news again if it comes with a binding for the first time. */
  #isKnown(frame: AuthFrame): boolean {
    const known = this.#peerFrame
    if (known === undefined || !equalBytes(known.x25519, frame.x25519)) return false
    return known.binding !== undefined || frame.binding === undefined
  }

  #sendAuth(now: Instant): void {
    this.#authDue = true
    const pause = k.AUTH_RETRY_MS[Math.min(this.#attempts, k.AUTH_RETRY_MS.length - 1)]!
    this.#attempts += 1
    this.#retryAt = Math.min(now + pause, this.#startedAt + k.HANDSHAKE_LIMIT_MS)
  }

  #stop(): void {
    this.#startedAt = -1
    this.#retryAt = Infinity
  }

  #answerKnownKey(now: Instant, heardAt: Instant): void {
    if (!this.confirmed || this.#candidate !== undefined) {
      if (this.#answers.takeRepeat(now)) this.#authDue = true
    } else if (!this.#isBinding && this.#answers.takeLostHalf(now, heardAt)) this.#answerLost()
  }

  #answerLost(): void {
    this.#authDue = true
    this.#news |= TUNNEL_ASKED
  }

  /** What only the two ends of the session in use can know, once it is confirmed. */
  get #provenBy(): Uint8Array | undefined {
    return this.confirmed ? this.#active?.proof : undefined
  }

  /** The sender holds the session in use, and means this key: what it said of another key cannot be moved here. */
  #continues(frame: AuthFrame): boolean {
    const proof = this.#provenBy
    const continuation = frame.binding?.continuation
    return (
      proof !== undefined &&
      continuation !== undefined &&
      equalBytes(continuationOf(proof, this.#challengeOf(frame)), continuation)
    )
  }

  #challengeOf({ sender, ed25519, x25519 }: AuthFrame): Uint8Array {
    return boundChallenge({ node: sender, ed25519, x25519 }, this.#ownId, this.#keys.identity.publicKey)
  }

  #confirm(now: Instant, session: Session): void {
    session.confirmed = true
    if (session.proof !== undefined) {
      const isFirst = this.#ownId < (this.#peerFrame?.sender ?? 0)
      session.renewAt = now + (this.#keys.rekeyMs ?? k.REKEY_MS) + (isFirst ? 0 : k.REKEY_TURN_MS)
    }
    this.#keyConfirmed = true
    if (this.#confirmedPeerKey !== session.peerKey) {
      this.peerKeySince = now
      if (this.#confirmedPeerKey !== undefined) this.#retired.push(this.#confirmedPeerKey)
      if (this.#retired.length > k.RETIRED_KEYS) this.#retired.shift()
      this.#confirmedPeerKey = session.peerKey
    }
    this.#stop()
    if (!session.continues) this.#news |= TUNNEL_CONFIRMED
  }

  /**
   * The keys in use have reached their age. A pilotgate answers our new key with a new one of its own, so nothing is
   * sealed under a key with an old half. Repeated by a frame after each FRESH_KEY_PAUSE_MS; the old keys work meanwhile.
   */
  #renew(now: Instant): void {
    if (this.#active?.proof === undefined) return this.#freshKey(now)
    if (this.#candidate !== undefined || now - this.#freshKeyAt < k.FRESH_KEY_PAUSE_MS) return
    this.#freshKeyAt = now
    this.#drawKey()
    this.#authDue = true
  }

  /** A new X25519 key of ours: a peer always answers one it has not seen (tunnel.md §4.1). */
  #freshKey(now: Instant): void {
    if (now - this.#freshKeyAt < k.FRESH_KEY_PAUSE_MS) return
    this.#freshKeyAt = now
    this.#drawKey()
    if (this.#peerFrame !== undefined) this.#derive(now, this.#peerFrame, false)
    this.#authDue = true
  }

  #drawKey(): void {
    this.#privateKey = this.#keys.random(32)
    this.#publicKey = x25519PublicKey(this.#privateKey)
    this.#keyConfirmed = false
    this.#frame = undefined
    this.#sessions.clear()
  }

  /** @param continues the peer continues from the session in use. */
  #derive(now: Instant, peer: AuthFrame, continues: boolean): boolean {
    const session = this.#sessionWith(now, peer)
    if (session === undefined) return false
    session.continues = continues
    const hadPeerKey = this.#peerFrame !== undefined
    this.#peerFrame = peer
    if (this.#active?.confirmed === true) {
      this.#candidate = session
      return true
    }
    if (this.#active !== undefined) this.#retire(now, this.#active)
    this.#active = session
    this.#news |= hadPeerKey ? TUNNEL_READY | TUNNEL_REKEYED : TUNNEL_READY
    return true
  }

  /** One session per pair of keys and derivation: a repeated PILA must not restart its nonces. */
  #sessionWith(now: Instant, peer: AuthFrame): Session | undefined {
    const name = toBase64(peer.x25519)
    const label = labelOf(peer)
    const known = this.#sessions.get(label)
    if (known !== undefined) {
      known.createdAt = now
      return known
    }
    if (this.#sessions.size >= k.SESSIONS_PER_KEY) this.#drawKey()
    const keys = this.#agree(peer)
    if (keys === 'low_order') return undefined
    const session = new Session(keys.aead, keys.proof, () => readPrefix(this.#keys.random(4)), name, now)
    this.#sessions.set(label, session)
    return session
  }

  /** With a binding: a key for each direction, the one of the lower node id first, and the proof. Otherwise one key (tunnel.md §2.2). */
  #agree({
    sender,
    ed25519,
    x25519,
    binding,
  }: AuthFrame): { aead: AeadKey; proof: Uint8Array | undefined } | 'low_order' {
    const { crypto } = this.#keys
    if (binding === undefined) {
      const shared = agreeSessionKey(this.#privateKey, x25519)
      return shared === 'low_order' ? shared : { aead: crypto.aead(shared), proof: undefined }
    }
    const transcript = tunnelTranscript(this.#ownEnd, { node: sender, ed25519, x25519 })
    const shared = agreeSessionKey(this.#privateKey, x25519, transcript, BOUND_SECRET_BYTES)
    if (shared === 'low_order') return shared
    const [low, high, proof] = [shared.subarray(0, 32), shared.subarray(32, 64), shared.slice(64)]
    return { aead: this.#ownId < sender ? crypto.aead(low, high) : crypto.aead(high, low), proof }
  }

  #retire(now: Instant, session: Session): void {
    this.#previous = session
    this.#previousUntil = now + k.GRACE_MS
  }
}

function readPrefix(bytes: Uint8Array): number {
  return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0
}

/** Two AES-256 keys and the proof of a continuation. */
const BOUND_SECRET_BYTES = 32 + 32 + 16
