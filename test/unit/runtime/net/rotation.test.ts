/** Several addresses of one service: which comes next, and what a name with several addresses is. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rotation, describePlace } from '../../../../src/runtime/net/rotation.ts'

const at = (address: string, port = 9_000): { address: string; port: number } => ({ address, port })

test('each address in turn, a name with its own ones, until one works; then that one is kept', async () => {
  let asked = 0
  const rotation = new Rotation([at('192.0.2.1'), at('rv.example'), at('192.0.2.9')], () => {
    asked += 1
    return Promise.resolve(['192.0.2.2', '192.0.2.3'])
  })
  const seen: string[] = []
  for (let i = 0; i < 6; i++) {
    const place = await rotation.current()
    assert.deepEqual(await rotation.current(), place)
    seen.push(describePlace(place))
    if (i < 5) rotation.fail()
  }
  assert.deepEqual(seen, [
    '192.0.2.1:9000',
    'rv.example:9000 (192.0.2.2)',
    'rv.example:9000 (192.0.2.3)',
    '192.0.2.9:9000',
    '192.0.2.1:9000',
    'rv.example:9000 (192.0.2.2)',
  ])
  assert.ok(asked >= 2, 'asked again in the second round')
})

test('a name that does not resolve, or is not to be resolved, is left to the one that connects', async () => {
  for (const addressesOf of [() => Promise.reject(new Error('EAI_AGAIN')), () => undefined]) {
    const rotation = new Rotation([at('rv.example')], addressesOf)
    assert.deepEqual(await rotation.current(), { target: at('rv.example'), host: 'rv.example' })
    assert.equal(rotation.fail(), false)
  }
})

test('a name that has fewer addresses than before does not lead past the end', async () => {
  let addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3']
  const rotation = new Rotation([at('rv.example')], () => Promise.resolve(addresses))
  await rotation.current()
  rotation.fail()
  rotation.fail()
  assert.equal((await rotation.current()).host, '192.0.2.3')
  rotation.fail()
  addresses = ['192.0.2.1']
  assert.equal((await rotation.current()).host, '192.0.2.1')
})
