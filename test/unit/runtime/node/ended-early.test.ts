/** A stream that ended before it was announced: its SYN and its RST came in one turn, and its news had no listener. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { StreamView } from '../../../../src/proto/stream/stream-view.ts'
import { PendingIncoming } from '../../../../src/runtime/node/pending-incoming.ts'
import { NodeStream } from '../../../../src/runtime/node/stream.ts'

function resetStream(): StreamView {
  const view = { peer: 2, localPort: 80, remotePort: 5, end: 'reset_by_peer', extended: true, readEnded: false }
  return { ...view, read: () => undefined, receiver: { queuedBytes: 0 }, app: undefined } as unknown as StreamView
}

test('its listener finds it gone', () => {
  const nobody = (): never => assert.fail('nothing has been decided yet')
  assert.equal(new PendingIncoming(resetStream(), 'agent-a', false, { accept: nobody, refuse: nobody }).gone, true)
})

test('once accepted, it fails like any other, one turn later', { timeout: 5_000 }, async () => {
  const nothing = (): void => {}
  const verbs = {
    reset: nothing,
    close: nothing,
    shutdown: nothing,
    write: () => true,
    afterRead: nothing,
    refuseRelay: nothing,
  }
  const stream = new NodeStream(resetStream(), verbs, 'agent-a')
  const [error] = (await once(stream, 'error')) as [{ readonly code: string }]
  assert.equal(error.code, 'PEER_RESET')
  assert.equal(stream.destroyed, true)
})
