/**
 * Trust that members take back and give again. Once the revocation is acknowledged (it is on the disk), no byte passes
 * between the two at the one who revoked, and no restart trusts the other again, until a person asks for it.
 */
import type { Conversation, Acceptance } from './conversation.ts'
import { Violation } from './conversation.ts'
import type { Member } from './member.ts'

interface Revocation {
  readonly by: Member
  readonly of: Member
  readonly life: number // of `by`, when it was revoked
  /** Bytes that had come from the other one when the revocation was acknowledged; undefined: it is not yet. */
  bytes: number | undefined
}

export class Revocations {
  readonly #all = new Set<Revocation>()
  readonly #ever = new Set<Revocation>()
  readonly #bytesFrom: (by: Member, of: Member) => number

  /** @param bytesFrom all that streams of `by` have received from `of`. */
  constructor(bytesFrom: (by: Member, of: Member) => number) {
    this.#bytesFrom = bytesFrom
  }

  get count(): number {
    return this.#ever.size
  }

  /** @returns false when there is no trust to take back. */
  revoke(by: Member, of: Member): boolean {
    const { node } = by
    const key = of.node.identity.publicKeyBase64
    // As a person names it: `of` may have another id by now, and not know it.
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

  /** Persons at both ends ask for it again, by name and key. */
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
        if (by.node.lives !== one.life) this.#all.delete(one) // it died before it was acknowledged: either is right
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

/** @returns all that streams of `by` have received from `of`. */
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
    one.check() // whose it is may only have come since it was looked at
    if (one.id !== undefined && called.has(one.id)) bytes += one.stream.receivedBytes
  }
  return bytes
}
