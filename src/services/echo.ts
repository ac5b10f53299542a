/** Port 7: every byte comes back (services.md §1). It is what `pilotctl ping` and `bench` of the reference talk to. */
import type { Incoming } from '../runtime/overlay-node.ts'

export interface Listening { listen (port: number, onIncoming: (incoming: Incoming) => void): { close (): void } }

/** Answers whoever the node lets in at all, as every node of the field does. */
export function serveEcho (node: Listening): { close (): void } {
  let open = 0
  return node.listen(ECHO_PORT, (incoming) => {
    if (open >= MAX_ECHO_STREAMS) return incoming.refuse()
    open += 1
    const stream = incoming.accept()
    stream.on('error', () => {}) // the peer went away: nobody else cares
    stream.once('close', () => { open -= 1 })
    stream.pipe(stream)
  })
}

const ECHO_PORT = 7
/** Streams that hold buffers for nobody's use but a test's. Further ones are refused. */
const MAX_ECHO_STREAMS = 64
