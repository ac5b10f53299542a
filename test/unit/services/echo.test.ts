/** Port 7: what the reference's echo service answered, byte for byte; and a limit on concurrent streams. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toHex } from '../../../src/base/bytes.ts'
import { serveEcho } from '../../../src/services/echo.ts'
import { hex, loadVectors, payloadOf, sha256Hex } from '../../vectors/load.ts'
import { OnePortNode } from './setting.ts'

interface Case {
  name: string
  sent?: string
  received?: string
  sent_sha256?: string
  received_length?: number
}

const { echo } = loadVectors<{ echo: { port: number; cases: Case[] } }>('services')

for (const { name, sent, received, sent_sha256: digest, received_length: length } of echo.cases) {
  test(`echo: ${name}`, async () => {
    const node = new OnePortNode()
    await serveEcho(node)
    assert.equal(node.port, echo.port)
    const stream = (await node.connect())!
    const bytes = sent === undefined ? payloadOf({ mul: 7, add: 0, length: length! }) : hex(sent)
    stream.end(bytes)
    const answer = Buffer.concat((await stream.toArray()) as Buffer[])
    if (received === undefined) assert.equal(sha256Hex(answer), digest)
    else assert.equal(toHex(answer), received)
  })
}

test('streams beyond the limits, per peer and in total, are refused, and one that ends makes room', async () => {
  const node = new OnePortNode()
  await serveEcho(node)
  const streams = await Promise.all(Array.from({ length: 16 }, async () => (await node.connect())!))
  assert.equal(await node.connect(), undefined)
  for (node.peer = 3; node.peer < 6; node.peer++)
    for (let i = 0; i < 16; i++) assert.notEqual(await node.connect(), undefined)
  assert.equal(await node.connect(), undefined)
  node.peer = 2
  streams[0]!.end()
  await streams[0]!.toArray()
  await new Promise((resolve) => setImmediate(resolve))
  assert.notEqual(await node.connect(), undefined)
})
