/** Port 7: echoes every byte (services.md §1). `pilotctl ping` and `bench` of the reference use it. */
import { ECHO_PORT } from '../base/overlay-ports.ts'
import type { Listener, Overlay } from '../runtime/overlay.ts'
import { Shares } from './shares.ts'

/** Answers every peer that the node admits at all, like the reference. */
export async function serveEcho(node: Pick<Overlay, 'listen'>): Promise<Listener> {
  const shares = new Shares(MAX_ECHO_STREAMS, MAX_ECHO_STREAMS_PER_PEER)
  return await node.listen(ECHO_PORT, (incoming) => {
    if (!shares.take(incoming.peer)) return incoming.refuse()
    const stream = incoming.accept()
    stream.on('error', () => {}) // the peer went away: nothing else depends on it
    stream.once('close', () => shares.release(incoming.peer))
    stream.pipe(stream)
  })
}

/** These streams hold buffers only for tests. Further ones are refused. */
const MAX_ECHO_STREAMS = 64
const MAX_ECHO_STREAMS_PER_PEER = 16
