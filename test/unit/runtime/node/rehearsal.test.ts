/** The rehearsal must finish, or it warms up nothing; and it must be short, since every start pays for it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { nodeCrypto } from '../../../../src/crypto/aead.ts'
import { systemRandom, timestampOf, unixSecondsOf } from '../../../../src/runtime/clock.ts'
import { rehearse } from '../../../../src/runtime/node/rehearsal.ts'

test('two nodes in memory register, find each other, and echo every byte', async () => {
  const received = await rehearse({
    crypto: nodeCrypto,
    crc32,
    random: systemRandom,
    timestamp: timestampOf,
    unixSeconds: unixSecondsOf,
  })
  assert.equal(received, 1 + 8_000)
})
