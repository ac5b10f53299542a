/** Port 7: every byte comes back (services.md §1). It is what `pilotctl ping` and `bench` of the reference talk to. */
import { ECHO_PORT } from '../base/overlay-ports.ts'
import type { Listener, Overlay } from '../runtime/overlay.ts'

/** Answers whoever the node lets in at all, as every node of the field does. */
export async function serveEcho(node: Pick<Overlay, 'listen'>): Promise<Listener> {
  let open = 0
  return await node.listen(ECHO_PORT, (incoming) => {
    if (open >= MAX_ECHO_STREAMS) return incoming.refuse()
    open += 1
    const stream = incoming.accept()
    stream.on('error', () => {}) // the peer went away: nobody else cares
    stream.once('close', () => {
      open -= 1
    })
    stream.pipe(stream)
  })
}

/** Streams that hold buffers for nobody's use but a test's. Further ones are refused. */
const MAX_ECHO_STREAMS = 64
