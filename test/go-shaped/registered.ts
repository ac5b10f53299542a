/** What a Go-shaped node says to the registry (registry.md §3.1, §3.2; trust.md §4.3), whatever carries it. */
import type { Endpoint, NodeId } from '../../src/base/types.ts'
import { formatEndpoint, parseEndpoint } from '../../src/base/types.ts'
import { fromBase64, toBase64, utf8 } from '../../src/base/bytes.ts'
import type { Identity } from '../../src/crypto/identity.ts'
import { challenges } from '../../src/wire/registry-messages.ts'
import type { GoNode } from './node.ts'
import type { GoWorld } from './world.ts'

export type Reply = Readonly<Record<string, unknown>>
/** Sends one request; the answer arrives later. */
export type Ask = (request: object, then: (reply: Reply) => void) => void

export class GoRegistration {
  readonly #ask: Ask
  readonly #identity: Identity
  node!: GoNode
  #again = (): void => {}
  #failures = 0 // heartbeats in a row

  constructor(identity: Identity, ask: Ask) {
    this.#identity = identity
    this.#ask = ask
  }

  /** The parts of its world that the registry answers. */
  get world(): Pick<GoWorld, 'lookup' | 'resolve' | 'checkTrust' | 'reportTrust'> {
    return {
      lookup: (node, then) =>
        this.#ask({ type: 'lookup', node_id: node }, (reply) => then(fromBase64(String(reply['public_key'] ?? '')))),
      resolve: (node, then) => {
        const request = {
          type: 'resolve',
          node_id: node,
          requester_id: this.node.nodeId,
          signature: this.#sign(challenges.resolve(this.node.nodeId, node)),
        }
        this.#ask(request, (reply) =>
          then(reply['type'] === 'resolve_ok' ? parseEndpoint(String(reply['real_addr'])) : undefined),
        )
      },
      checkTrust: (node, then) =>
        this.#ask({ type: 'check_trust', node_id: this.node.nodeId, peer_id: node }, (reply) =>
          then(reply['trusted'] === true),
        ),
      reportTrust: (node) =>
        this.#ask(
          {
            type: 'report_trust',
            node_id: this.node.nodeId,
            peer_id: node,
            signature: this.#sign(challenges.reportTrust(this.node.nodeId, node)),
          },
          () => {},
        ),
    }
  }

  /** Registration as in the April daemon: unsigned, with visibility and hostname afterwards. */
  register(listen: Endpoint, hostname: string, then: () => void): void {
    this.#again = () =>
      this.register(listen, hostname, () => {
        for (const peer of this.node.trusted) this.world.reportTrust(peer)
      })
    const request = {
      type: 'register',
      listen_addr: formatEndpoint(listen),
      public_key: this.#identity.publicKeyBase64,
      owner: `${hostname}@example.com`,
      lan_addrs: [],
      protocol_version: 1,
    }
    this.#ask(request, (reply) => {
      const node = (this.node.nodeId = Number(reply['node_id']))
      this.#ask(
        {
          type: 'set_visibility',
          node_id: node,
          public: this.node.public,
          signature: this.#sign(challenges.setVisibility(node)),
        },
        () => {},
      )
      this.#ask(
        { type: 'set_hostname', node_id: node, hostname, signature: this.#sign(challenges.setHostname(node)) },
        () => {
          this.node.start()
          then()
        },
      )
    })
  }

  /** Every 30 s: alive, and the mailbox read. After three failures in a row it registers again (registry.md §3.2). */
  heartbeat(then: () => void = () => {}): void {
    const node = this.node.nodeId
    this.#ask({ type: 'heartbeat', node_id: node, signature: this.#sign(challenges.heartbeat(node)) }, ({ type }) => {
      this.#failures = type === 'error' ? this.#failures + 1 : 0
      if (this.#failures === MAX_FAILURES) {
        this.#failures = 0
        return this.#again()
      }
      if (type === 'error') return then()
      this.node.start() // 0x01 to the beacon
      this.#ask(
        { type: 'poll_handshakes', node_id: node, signature: this.#sign(challenges.pollHandshakes(node)) },
        (reply) => {
          for (const { from_node_id: from } of entries(reply['requests'])) {
            if (this.node.onRelayedRequest(from)) this.respond(from, true)
          }
          for (const { from_node_id: from, accept } of entries(reply['responses']))
            this.node.onRelayedAnswer(from, accept === true)
          then()
        },
      )
    })
  }

  requestHandshake(to: NodeId): void {
    const node = this.node.nodeId
    this.node.outgoing.add(to)
    this.#ask(
      {
        type: 'request_handshake',
        from_node_id: node,
        to_node_id: to,
        justification: 'hello',
        signature: this.#sign(challenges.requestHandshake(node, to)),
      },
      () => {},
    )
  }

  respond(to: NodeId, accept: boolean): void {
    const node = this.node.nodeId
    this.#ask(
      {
        type: 'respond_handshake',
        node_id: node,
        peer_id: to,
        accept,
        signature: this.#sign(challenges.respondHandshake(node, to)),
      },
      () => {},
    )
  }

  #sign(text: string): string {
    return toBase64(this.#identity.sign(utf8(text)))
  }
}

const MAX_FAILURES = 3

function entries(value: unknown): ReadonlyArray<{ readonly from_node_id: NodeId; readonly accept?: boolean }> {
  return Array.isArray(value) ? (value as Array<{ from_node_id: NodeId; accept?: boolean }>) : []
}
