// How to test a program that uses the overlay: a private overlay in the test's own process, up in less than a second.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { text } from 'node:stream/consumers'
import { PilotError } from 'pilotgate'
import { testnet } from 'pilotgate/testing'
import type { Testnet } from 'pilotgate/testing'

let net: Testnet
before(async () => {
  net = await testnet({ nodes: 2 })
})
after(async () => {
  await net.stop()
})

test('agent-2 returns what agent-1 sends, in capitals', async () => {
  const listener = await net.nodes[1]!.listen(1_234, (incoming) => {
    const stream = incoming.accept()
    stream.on('data', (part: Buffer) => stream.write(String(part).toUpperCase()))
    stream.on('end', () => stream.end()) // each direction ends on its own
  })
  const stream = await net.nodes[0]!.dial('agent-2:1234')
  stream.end('hello')
  assert.equal(await text(stream), 'HELLO')
  listener.close()
})

test('a port where no one listens refuses', async () => {
  await assert.rejects(
    net.nodes[0]!.dial('agent-2:4321'),
    (error) => error instanceof PilotError && error.code === 'CONNECTION_REFUSED',
  )
})
