/** Port 444: how much work a peer can cause with trust messages. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../../src/runtime/log.ts'
import type { OverlayNode } from '../../../src/runtime/node/node.ts'
import { serveHandshakes } from '../../../src/services/handshake.ts'
import { formatHandshakeMessage } from '../../../src/wire/handshake-message.ts'
import { OnePortNode } from './setting.ts'

test("of a hundred messages from one peer ten are accepted, and another peer's first one", async () => {
  const taken: number[] = []
  const node = Object.assign(new OnePortNode(), {
    handleHandshake: async (peer: number): Promise<undefined> => void taken.push(peer),
  })
  await serveHandshakes(node as unknown as OverlayNode, silentLogger)
  const message = formatHandshakeMessage({
    type: 'handshake_request',
    nodeId: 2,
    publicKey: '',
    justification: '',
    signature: '',
    reason: '',
    timestamp: Math.floor(Date.now() / 1_000),
  })
  for (let i = 0; i < 100; i++) (await node.connect())?.end(message)
  node.peer = 3
  ;(await node.connect())?.end(message)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(taken.filter((peer) => peer === 2).length, 10)
  assert.equal(taken.filter((peer) => peer === 3).length, 1)
})
