/** Where metrics and dashboard may listen: anywhere, but not without a word beyond loopback. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startObserve } from '../../../src/observe/server.ts'

test('an address that other machines can reach is warned of, since there is no password', async () => {
  const warnings: string[] = []
  const log = { debug: () => {}, warn: (_about: object, text: string) => void warnings.push(text) }
  const control = (): undefined => undefined
  // No machine has 192.0.2.1 (RFC 5737): it warns, then cannot listen.
  await assert.rejects(startObserve({ listen: '192.0.2.1:0', control, log }), { code: 'ADDRESS_UNAVAILABLE' })
  assert.deepEqual(warnings, ['metrics and dashboard are open to anyone who can reach this address'])
  const observer = await startObserve({ listen: '127.0.0.1:0', control, log })
  await observer.stop()
  assert.equal(warnings.length, 1, 'loopback is as it should be')
})
