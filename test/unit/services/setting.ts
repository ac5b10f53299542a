/** A node with one service: a test opens streams to it as a peer, without a network. */
import { Duplex } from 'node:stream'
import type { Incoming, Listener, Overlay, OverlayStream } from '../../../src/runtime/overlay.ts'

type Standing = Awaited<ReturnType<Overlay['trustOf']>>

export class OnePortNode {
  #onIncoming: ((incoming: Incoming) => void) | undefined
  port = 0
  peer = 2
  isReply = false
  /** How the peer is trusted; undefined: it is not. */
  standing: Partial<NonNullable<Standing>> | undefined = {}

  async trustOf(): Promise<Standing> {
    return this.standing as Standing
  }

  keyOf(node: number): string {
    return `key of ${node}`
  }

  async listen(port: number, onIncoming: (incoming: Incoming) => void): Promise<Listener> {
    this.port = port
    this.#onIncoming = onIncoming
    return {
      close: () => {
        this.#onIncoming = undefined
      },
    }
  }

  /** @returns the peer's end, or undefined if the service refused. */
  async connect(): Promise<Duplex | undefined> {
    const [near, far] = pair()
    return await new Promise((resolve) => {
      const accept = (): OverlayStream => {
        resolve(far)
        return near as unknown as OverlayStream
      }
      this.#onIncoming?.({
        peer: this.peer,
        peerName: 'bob',
        port: this.port,
        isReply: this.isReply,
        gone: false,
        accept,
        refuse: () => resolve(undefined),
      })
    })
  }
}

/** Two ends of a stream, with the socket method that services call. */
function pair(): [Duplex, Duplex] {
  const ends: Duplex[] = []
  for (const other of [1, 0]) {
    ends.push(
      Object.assign(
        new Duplex({
          read() {},
          write(chunk: Uint8Array, _encoding, callback) {
            ends[other]!.push(chunk)
            callback()
          },
          final(callback) {
            ends[other]!.push(null)
            callback()
          },
          destroy(error, callback) {
            if (!ends[other]!.destroyed) ends[other]!.push(null)
            callback(error)
          },
        }),
        {
          destroySoon(this: Duplex) {
            this.end()
          },
        },
      ),
    )
  }
  return [ends[0]!, ends[1]!]
}
