/**
 * A node that poses as a member: it registers members' names while they are away or forgotten, claims their ids at the
 * registry and the beacon, sends key exchanges in their name, and replays what they sent (key exchanges and sealed
 * frames off the wire). It must not end a stream or gain trust.
 */
import type { NodeId } from '../../../src/base/types.ts'
import { toBase64, utf8 } from '../../../src/base/bytes.ts'
import { encodeDiscover, RELAY_HEADER_BYTES } from '../../../src/wire/beacon-messages.ts'
import { PROTOCOL_STREAM } from '../../../src/wire/packet.ts'
import { challenges } from '../../../src/wire/registry-messages.ts'
import { authChallenge, encodeAuthFrame, encodeKeyFrame } from '../../../src/wire/tunnel-frames.ts'
import type { SimOverlay } from '../simulator/overlay.ts'
import { Puppet } from '../simulator/puppet.ts'
import type { Random } from '../simulator/random.ts'
import type { SimNode } from '../simulator/sim-node.ts'
import { Violation } from './conversation.ts'

export class Impostor {
  readonly puppet: Puppet
  readonly #sim: SimOverlay
  /** Frames members sent recently, as seen on the wire. */
  readonly #heard: Uint8Array[] = []

  constructor(sim: SimOverlay) {
    this.#sim = sim
    this.puppet = new Puppet(sim, HOST_INDEX, OWN_NAME)
    const { address } = this.puppet.endpoint
    sim.network.audits.push(({ from, bytes }) => {
      if (from.address === address || bytes.length > MAX_HEARD_BYTES) return
      const at = bytes[0] === 5 ? RELAY_HEADER_BYTES : 0
      if (bytes[at] !== MAGIC_FIRST) return
      this.#heard.push(bytes.slice(at))
      if (this.#heard.length > MAX_HEARD) this.#heard.shift()
    })
  }

  get key(): string {
    return this.puppet.identity.publicKeyBase64
  }

  /** @returns what was done. */
  act(random: Random, as: SimNode, towards: SimNode): string {
    const tricks: readonly (readonly [string, () => void])[] = [
      ['takes the name of', () => this.takeName(as.options.hostname!)],
      ['asks for trust under the name of', () => this.#ask(as, towards)],
      ['replays frames of any member, also', () => this.#repeat(random, towards)],
      ['makes a key exchange in the name of', () => this.#forge(random, as, towards)],
      ['registers the key of', () => this.#claimKey(as)],
      ['claims, at the beacon, the id of', () => this.#discover(as)],
      ['exchanges keys in its own name, not', () => this.puppet.knock(towards)],
    ]
    const [what, trick] = tricks[random.below(tricks.length)]!
    trick()
    return `${what} ${as.options.hostname}`
  }

  /** Available once its owner has been away for three minutes, or the registry has forgotten it. */
  takeName(hostname: string): void {
    this.puppet.register(OWN_NAME) // it may have been forgotten
    const node_id = this.puppet.nodeId
    this.#tell({ type: 'set_hostname', node_id, hostname, signature: this.#sign(challenges.setHostname(node_id)) })
  }

  giveUp(): void {
    this.takeName(OWN_NAME)
  }

  /** @param stranger has no trust, so it dials an id and not a key: its packets do not count. */
  check(stranger: NodeId): void {
    const got = this.puppet.packets.splice(0).map(({ header }) => header)
    const { length } = got.filter(({ protocol, srcNode }) => protocol === PROTOCOL_STREAM && srcNode !== stranger)
    if (length > 0) throw new Violation(`the impostor got ${length} packets of streams`)
  }

  #ask(as: SimNode, towards: SimNode): void {
    this.takeName(as.options.hostname!)
    const { nodeId } = this.puppet
    this.#tell({
      type: 'request_handshake',
      from_node_id: nodeId,
      to_node_id: towards.nodeId,
      justification: `${as.options.hostname} again`,
      signature: this.#sign(challenges.requestHandshake(nodeId, towards.nodeId)),
    })
  }

  #repeat(random: Random, towards: SimNode): void {
    for (let i = 0; i < REPEATS && this.#heard.length > 0; i++)
      this.#send(towards, this.#heard[random.below(this.#heard.length)]!)
  }

  #forge(random: Random, as: SimNode, towards: SimNode): void {
    const x25519 = random.bytes(32)
    const { identity } = this.puppet
    const signature = identity.sign(authChallenge(as.nodeId, x25519))
    for (const ed25519 of [identity.publicKey, as.identity.publicKey])
      this.#send(towards, encodeAuthFrame({ sender: as.nodeId, x25519, ed25519, signature }))
    this.#send(towards, encodeKeyFrame({ sender: as.nodeId, x25519 }))
  }

  #claimKey(as: SimNode): void {
    const { address, port } = this.puppet.endpoint
    const public_key = as.identity.publicKeyBase64
    const listen_addr = `${address}:${port}`
    this.#tell({ type: 'register', listen_addr, public_key, hostname: as.options.hostname })
    const signature = this.#sign(challenges.register(listen_addr, public_key))
    this.#tell({ type: 'register', listen_addr, public_key, hostname: as.options.hostname, signature })
  }

  #discover(as: SimNode): void {
    this.#sim.network.send(this.puppet.endpoint, this.#sim.beaconEndpoint, encodeDiscover(as.nodeId))
  }

  #send(towards: SimNode, bytes: Uint8Array): void {
    this.#sim.network.send(this.puppet.endpoint, towards.endpoint, bytes)
  }
  #tell(request: object): void {
    this.#sim.registry.handle(this.puppet.endpoint.address, request)
  }
  #sign(text: string): string {
    return toBase64(this.puppet.identity.sign(utf8(text)))
  }
}

const OWN_NAME = 'mallory'
const HOST_INDEX = 66
const MAGIC_FIRST = 0x50 // length of PILA, PILS and other magics
const MAX_HEARD = 64
const MAX_HEARD_BYTES = 300
const REPEATS = 5
