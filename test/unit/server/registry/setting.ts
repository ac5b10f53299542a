/** A registry with members that can sign, a manual clock, and a disk that outlives it. */
import type { Identity } from '../../../../src/crypto/identity.ts'
import type { RegistryOptions } from '../../../../src/server/registry/options.ts'
import { toBase64, utf8 } from '../../../../src/base/bytes.ts'
import { createIdentity } from '../../../../src/crypto/identity.ts'
import { Registry } from '../../../../src/server/registry/registry.ts'
import { MemoryStore } from '../../../../src/server/store/memory-store.ts'
import { challenges } from '../../../../src/wire/registry-messages.ts'

export type Reply = Readonly<Record<string, unknown>>

export interface Member {
  readonly id: number
  readonly identity: Identity
}

export class Setting {
  readonly disk = new Map<string, string>()
  readonly #options: Partial<RegistryOptions>
  #members = 0
  now = 1_800_000_000_000
  registry: Registry

  constructor(options: Partial<RegistryOptions> = {}) {
    this.#options = options
    this.registry = new Registry(new MemoryStore(this.disk), this.now, options)
  }

  /** Kills the process and restarts it from disk. */
  restart(): void {
    this.registry = new Registry(new MemoryStore(this.disk), this.now, this.#options)
  }

  ask(request: object, sourceIp = '198.51.100.1'): Reply {
    return { ...this.registry.handle(this.now, sourceIp, 50_000, request) }
  }

  /** Signed by `member` over `text`. */
  askAs(member: Member, text: string, request: object, sourceIp?: string): Reply {
    return this.ask({ ...request, signature: sign(member.identity, text) }, sourceIp)
  }

  registration(identity: Identity, fields: object = {}, signed = true): object {
    const request = { type: 'register', listen_addr: '0.0.0.0:4000', public_key: identity.publicKeyBase64, ...fields }
    return signed
      ? { ...request, signature: sign(identity, challenges.register(request.listen_addr, request.public_key)) }
      : request
  }

  /** A new node, each from its own source address. */
  join(fields: object = {}, signed = true): Member {
    const identity = newIdentity(++this.#members)
    const reply = this.ask(this.registration(identity, fields, signed), `203.0.113.${this.#members}`)
    if (typeof reply['node_id'] !== 'number') throw new Error(`not registered: ${JSON.stringify(reply)}`)
    return { id: reply['node_id'], identity }
  }

  publish(member: Member): void {
    this.askAs(member, challenges.setVisibility(member.id), {
      type: 'set_visibility',
      node_id: member.id,
      public: true,
    })
  }

  report(from: Member, to: Member): Reply {
    return this.askAs(from, challenges.reportTrust(from.id, to.id), {
      type: 'report_trust',
      node_id: from.id,
      peer_id: to.id,
    })
  }

  revoke(from: Member, to: Member): Reply {
    return this.askAs(from, challenges.revokeTrust(from.id, to.id), {
      type: 'revoke_trust',
      node_id: from.id,
      peer_id: to.id,
    })
  }

  trusted(a: Member, b: Member): unknown {
    return this.ask({ type: 'check_trust', node_id: a.id, peer_id: b.id }, sourceOf(a))['trusted']
  }

  request(from: Member, to: Member, fields: object = {}): Reply {
    return this.askAs(from, challenges.requestHandshake(from.id, to.id), {
      type: 'request_handshake',
      from_node_id: from.id,
      to_node_id: to.id,
      justification: 'hello',
      ...fields,
    })
  }

  requestByName(from: Member, hostname: string, sourceIp?: string): Reply {
    return this.askAs(
      from,
      challenges.requestHandshake(from.id, hostname),
      { type: 'request_handshake', from_node_id: from.id, to_hostname: hostname, justification: 'hello' },
      sourceIp,
    )
  }

  respond(from: Member, to: Member, accept: boolean): Reply {
    return this.askAs(from, challenges.respondHandshake(from.id, to.id), {
      type: 'respond_handshake',
      node_id: from.id,
      peer_id: to.id,
      accept,
    })
  }

  poll(member: Member): { readonly requests: readonly Reply[]; readonly responses: readonly Reply[] } {
    const reply = this.askAs(member, challenges.pollHandshakes(member.id), {
      type: 'poll_handshakes',
      node_id: member.id,
    })
    return reply as { requests: readonly Reply[]; responses: readonly Reply[] } & Reply
  }

  resolve(from: Member, to: Member): Reply {
    return this.askAs(from, challenges.resolve(from.id, to.id), {
      type: 'resolve',
      requester_id: from.id,
      node_id: to.id,
    })
  }

  heartbeat(member: Member): Reply {
    return this.askAs(member, challenges.heartbeat(member.id), { type: 'heartbeat', node_id: member.id })
  }
}

export function sign(identity: Identity, text: string): string {
  return toBase64(identity.sign(utf8(text)))
}

export function newIdentity(number: number): Identity {
  return createIdentity(new Uint8Array(32).fill(number & 0xff).fill(number >> 8, 30, 31))
}

export const REFUSED = { type: 'error', error: 'request failed' }

/** Where a member registered from. */
export function sourceOf({ id }: Member): string {
  return `203.0.113.${id}`
}
