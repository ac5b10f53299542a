/** An in-memory overlay: nodes that trust each other, reach each other at once, and lose nothing. */
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { formatAddress } from '../../../../src/base/address.ts'
import { PilotError } from '../../../../src/base/errors.ts'
import type { Incoming, Overlay, OverlayStream } from '../../../../src/runtime/overlay.ts'

type OnDatagram = (bytes: Uint8Array, from: number, sourcePort: number) => void

interface Member {
  readonly id: number
  readonly hostname: string
  readonly listeners: Map<number, (incoming: Incoming) => void>
  readonly datagrams: Map<number, OnDatagram>
}

export class MemoryNetwork {
  readonly #members = new Map<string, Member>()

  node(hostname: string): Overlay {
    const id = this.#members.size + 1
    const member: Member = { id, hostname, listeners: new Map(), datagrams: new Map() }
    this.#members.set(hostname, member)
    return overlayOf(member, (peer) => this.#find(peer))
  }

  #find(peer: string): Member {
    const found = [...this.#members.values()].find(({ id, hostname }) => hostname === peer || String(id) === peer)
    if (found === undefined) throw new PilotError('NOT_FOUND', `there is no ${peer}`)
    return found
  }
}

function overlayOf(self: Member, find: (peer: string) => Member): Overlay {
  const overlay: Partial<Overlay> = {
    nodeId: self.id,
    address: formatAddress({ network: 0, node: self.id }),
    hostname: self.hostname,
    publicKey: '',
    peers: [],
    guests: null,
    health: {
      hostnameRefused: undefined,
      nameConflicts: [],
      beacon: { isAnswering: true, unanswered: 0 },
      mtu: 1400,
      receiveBufferBytes: 0,
      sendErrors: 0,
    },
    wishes: [],
    hasUndelivered: false,
    dial: async (target) => dial(self, target, find),
    listen: async (port, onIncoming) => {
      taken(self.listeners, port)
      self.listeners.set(port, onIncoming)
      return { close: () => void self.listeners.delete(port) }
    },
    datagrams: async (wanted, onDatagram) => {
      const port = wanted ?? 49_152 + self.datagrams.size
      taken(self.datagrams, port)
      self.datagrams.set(port, onDatagram)
      const sendTo = (peer: string | number, to: number, bytes: Uint8Array): void => {
        const copy = bytes.slice()
        const receiver = find(String(peer)).datagrams.get(to)
        setImmediate(() => receiver?.(copy, self.id, port))
      }
      return {
        keepsSourcePort: true,
        send: async (peer, to, bytes) => sendTo(peer, to, bytes),
        sendTo,
        close: () => void self.datagrams.delete(port),
      }
    },
    resolve: async (peer) => find(peer).id,
    about: async () => null,
    prepare: () => {},
    connect: async (peer) => find(peer).id,
    pathTo: () => ({ kind: 'direct', endpoint: '127.0.0.1:1', reason: 'in memory' }),
    hostnameOf: (node) => find(String(node)).hostname,
    claimOf: () => undefined,
    means: async (hostname, node) => find(hostname).id === node,
    keyOf: () => undefined,
    isTrusted: async () => true,
    trustOf: async (nodeId) => ({ nodeId, publicKey: '', approvedAt: '', mutual: true, network: 0 }),
    trusted: async () => [],
  }
  return overlay as Overlay
}

function taken(ports: ReadonlyMap<number, unknown>, port: number): void {
  if (ports.has(port)) throw new PilotError('PORT_IN_USE', `overlay port ${port} is in use`)
}

function dial(self: Member, target: string, find: (peer: string) => Member): Promise<OverlayStream> {
  const at = target.lastIndexOf(':')
  const [member, port] = [find(target.slice(0, at)), Number(target.slice(at + 1))]
  const listener = member.listeners.get(port)
  return new Promise((resolve, reject) => {
    const refuse = (): void => reject(new PilotError('CONNECTION_REFUSED', `${target} refuses`))
    if (listener === undefined) return refuse()
    const accept = (): OverlayStream => {
      const [near, far] = duplexPair()
      resolve(streamOf(near, far, member, port))
      return streamOf(far, near, self, port)
    }
    listener({ peer: self.id, peerName: self.hostname, port, gone: false, accept, refuse })
  })
}

function streamOf(end: Duplex, other: Duplex, peer: Member, port: number): OverlayStream {
  let bytesRead = 0
  end.on('data', (chunk: Buffer) => (bytesRead += chunk.length)).pause()
  return Object.assign(end, {
    peer: peer.id,
    peerName: peer.hostname,
    localPort: port,
    remotePort: port,
    remoteAddress: peer.hostname,
    get bytesRead() {
      return bytesRead
    },
    bytesWritten: 0,
    connecting: false,
    halfCloses: true,
    handsOver: false,
    refuseRelay() {},
    destroySoon: () => end.end(),
    setTimeout: () => end,
    setNoDelay: () => end,
    setKeepAlive: () => end,
    ref: () => end,
    unref: () => end,
    resetAndDestroy: () => {
      setImmediate(() => other.destroy(new Error('reset by the other end')))
      return end.destroy()
    },
  }) as unknown as OverlayStream
}
