/** What a stream needs from its node, by the core: apart from stream.ts, whose types are public. Above: node.ts. */
import type { OverlayCore } from '../../proto/node/core.ts'
import type { StreamVerbs } from './stream.ts'

/** Each in a turn of its own. */
export function streamVerbs(core: OverlayCore, turn: <T>(act: (now: number) => T) => T): StreamVerbs {
  return {
    write: (stream, bytes, more) => turn((now) => core.write(now, stream, bytes, more)),
    shutdown: (stream) => turn((now) => core.shutdown(now, stream)),
    close: (stream) => turn((now) => core.close(now, stream)),
    reset: (stream) => turn((now) => core.reset(now, stream)),
    afterRead: (stream) => turn((now) => core.afterRead(now, stream)),
    refuseRelay: (stream) => core.refuseRelay(stream),
  }
}
