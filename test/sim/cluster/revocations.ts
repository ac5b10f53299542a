/**
 * Trust that members revoke and grant again. Once the revocation is acknowledged (on disk), the revoking node passes no
 * byte between the two, and no restart restores the trust, until a person requests it.
 */
import type { Conversation, Acceptance } from './conversation.ts'
import { Violation } from './conversation.ts'
import type { Member } from './member.ts'

interface Revocation {
  readonly by: Member
  readonly of: Member
  readonly life: number // of `by`, when it was revoked
  /** Bytes received from the other node when the revocation was acknowledged; undefined until then. */
  bytes: number | undefined
}

export class Revocations {
  readonly #all = new Set<Revocation>()
  readonly #ever = new Set<Revocation>()
  readonly #bytesFrom: (by: Member, of: Member) => number

  /** @param bytesFrom everything the streams of `by` have received from `of`. */
  constructor(bytesFrom: (by: Member, of: Member) => number) {
    this.#bytesFrom = bytesFrom
  }

  get count(): number {
    return this.#ever.size
  }

  /** @returns false if there is no trust to revoke. */
  revoke(by: Member, of: Member): boolean {
    const { node } = by
    const key = of.node.identity.publicKeyBase64
    // Named as a person would: `of` may have another id by now without knowing.
    const id = node.state.trust.trusted.find(({ publicKey }) => publicKey === key)?.nodeId
    if (!node.alive || node.isPaused || id === undefined) return false
    const one: Revocation = { by, of, life: node.lives, bytes: undefined }
    node.turn((now) => {
      if (!node.core.revokeTrust(now, id)) return
      this.#all.add(one)
      this.#ever.add(one)
      node.whenTrustIsKept(() => (one.bytes = this.#bytesFrom(by, of)))
    })
    return true
  }

  /** People at both ends request it again, by name and key. */
  giveAgain(): void {
    for (const one of this.#ever) {
      const { by, of } = one
      if (!by.node.alive || !of.node.alive) continue
      this.#all.delete(one)
      by.node.requestTrust(of.name, of.node.identity.publicKey)
      of.node.requestTrust(by.name, by.node.identity.publicKey)
    }
  }

  check(): void {
    for (const one of this.#all) {
      const { by, of, bytes } = one
      if (bytes === undefined) {
        if (by.node.lives !== one.life) this.#all.delete(one) // it died before acknowledging: either is right
        continue
      }
      const about = `${by.name} has revoked the trust of ${of.name}`
      const key = of.node.identity.publicKeyBase64
      if (by.node.alive && by.node.state.trust.trusted.some(({ publicKey }) => publicKey === key))
        throw new Violation(`${about}, and trusts it`)
      const now = this.#bytesFrom(by, of)
      if (now !== bytes) throw new Violation(`${about}, and got ${now - bytes} bytes of it afterwards`)
    }
  }
}

/** @returns everything the streams of `by` have received from `of`. */
export function bytesBetween(
  conversations: readonly Conversation[],
  accepted: readonly Acceptance[],
  by: Member,
  of: Member,
): number {
  let bytes = 0
  const called = new Set<number>()
  for (const one of conversations) {
    if (one.from === by.node && one.to === of.node) bytes += one.stream.receivedBytes
    if (one.from === of.node && one.to === by.node) called.add(one.id)
  }
  for (const one of accepted) {
    if (one.node !== by.node) continue
    one.check() // its owner may have become known only since the last check
    if (one.id !== undefined && called.has(one.id)) bytes += one.stream.receivedBytes
  }
  return bytes
}
