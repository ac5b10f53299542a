/**
 * A man in the middle for UDP: clients send to the tap, which forwards to one target from a separate socket per client,
 * and back. It records every datagram and drops selected ones. To the target it looks like a NAT that admits only
 * replies: its sockets are connected, so the kernel drops datagrams from others.
 */
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket } from 'node:dgram'
import { format } from './harness.ts'
import type { Address, Stage } from './harness.ts'

export interface Datagram {
  readonly towards: 'target' | 'client'
  readonly client: string // ip:port
  readonly bytes: Buffer
}

export class Tap {
  /** Where clients send. */
  readonly address: string
  readonly datagrams: Datagram[] = []
  /** Called for each datagram; a dropped one is not recorded. */
  drops: (datagram: Datagram) => boolean = () => false
  dropped = 0
  #target: Address | undefined
  readonly #front: Socket
  readonly #upstreams = new Map<string, Socket | 'connecting'>()

  private constructor(front: Socket) {
    this.#front = front
    this.address = format({ host: front.address().address, port: front.address().port })
  }

  static async open(stage: Stage, target?: Address): Promise<Tap> {
    const front = createSocket('udp4')
    front.setMaxListeners(0)
    await new Promise<void>((resolve, reject) => {
      front.once('error', reject)
      front.bind(0, '127.0.0.1', resolve)
    })
    front.setRecvBufferSize(BUFFER_BYTES)
    const tap = new Tap(front)
    front.on('message', (bytes, from) => tap.#onClient(bytes, from))
    front.on('error', () => {})
    if (target !== undefined) tap.connect(target)
    stage.defer(async () => tap.#close())
    return tap
  }

  /** Until then everything is dropped: the target may need to know the tap before having an address itself. */
  connect(target: Address): void {
    this.#close(false)
    this.#target = target
  }

  /** Bytes of all datagrams recorded. */
  get bytes(): number {
    return this.datagrams.reduce((sum, { bytes }) => sum + bytes.length, 0)
  }

  #onClient(bytes: Buffer, from: RemoteInfo): void {
    const client = `${from.address}:${from.port}`
    const upstream = this.#upstreams.get(client)
    if (upstream === undefined) this.#connectUpstream(client, from, bytes)
    else if (upstream !== 'connecting' && this.#passes({ towards: 'target', client, bytes })) upstream.send(bytes)
  }

  /** Datagrams before it is connected, except the first, are lost, as UDP may be. */
  #connectUpstream(client: string, { address, port }: RemoteInfo, first: Buffer): void {
    const target = this.#target
    if (target === undefined) return
    this.#upstreams.set(client, 'connecting')
    const upstream = createSocket('udp4')
    upstream.on('error', () => {}) // the target is down at the moment
    upstream.on('message', (bytes) => {
      if (this.#passes({ towards: 'client', client, bytes })) this.#front.send(bytes, port, address)
    })
    upstream.bind(0, '127.0.0.1', () => {
      upstream.setRecvBufferSize(BUFFER_BYTES)
      upstream.connect(target.port, target.host, () => {
        if (this.#upstreams.get(client) !== 'connecting') return void upstream.close()
        this.#upstreams.set(client, upstream)
        if (this.#passes({ towards: 'target', client, bytes: first })) upstream.send(first)
      })
    })
  }

  #passes(datagram: Datagram): boolean {
    if (this.drops(datagram)) {
      this.dropped += 1
      return false
    }
    this.datagrams.push(datagram)
    return true
  }

  #close(whole = true): void {
    for (const upstream of this.#upstreams.values()) if (upstream !== 'connecting') upstream.close()
    this.#upstreams.clear()
    if (whole) this.#front.close()
  }
}

/** A sender may have a megabyte in flight, and the test process is busy with other work too. */
const BUFFER_BYTES = 4 * 1_048_576
