/** Port 7: echoes every byte (services.md §1). `pilotctl ping` and `bench` of the reference use it. */
import { ECHO_PORT } from '../base/overlay-ports.ts'
import type { Listener, Overlay } from '../runtime/overlay.ts'

/** Answers every peer that the node admits at all, like the reference. */
export async function serveEcho(node: Pick<Overlay, 'listen'>): Promise<Listener> {
  let open = 0
  return await node.listen(ECHO_PORT, (incoming) => {
    if (open >= MAX_ECHO_STREAMS) return incoming.refuse()
    open += 1
    const stream = incoming.accept()
    stream.on('error', () => {}) // the peer went away: nothing else depends on it
    stream.once('close', () => {
      open -= 1
    })
    stream.pipe(stream)
  })
}

/** These streams hold buffers only for tests. Further ones are refused. */
const MAX_ECHO_STREAMS = 64
