/** Name look-ups: shared, cached briefly, and a dead name delays only itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HostAddresses } from '../../../../src/runtime/net/host-addresses.ts'

/** A system resolver that answers on command. */
function system() {
  const asked: string[] = []
  const waiting = new Map<string, { resolve(addresses: string[]): void; reject(error: Error): void }>()
  let now = 0
  const hosts = new HostAddresses(
    (name) => {
      asked.push(name)
      return new Promise((resolve, reject) => waiting.set(name, { resolve, reject }))
    },
    () => now,
  )
  const answer = async (name: string, address: string | Error, afterMs = 0): Promise<void> => {
    now += afterMs
    if (address instanceof Error) waiting.get(name)!.reject(address)
    else waiting.get(name)!.resolve([address])
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { hosts, asked, answer, pass: (ms: number) => void (now += ms) }
}

test('addresses and localhost need no look-up; localhost is both families, IPv4 first', () => {
  const { hosts, asked } = system()
  assert.deepEqual(
    ['192.0.2.1', '::1', 'localhost'].map((host) => hosts.of(host)),
    [['192.0.2.1'], ['::1'], ['127.0.0.1', '::1']],
  )
  assert.deepEqual(asked, [])
})

test('concurrent look-ups of a name share one query; its answer is cached for two seconds unless cleared', async () => {
  const { hosts, asked, answer, pass } = system()
  const both = Promise.all([hosts.of('a'), hosts.of('a')])
  await answer('a', '192.0.2.1')
  assert.deepEqual(await both, [['192.0.2.1'], ['192.0.2.1']])
  pass(1_999)
  assert.deepEqual(hosts.of('a'), ['192.0.2.1'])
  hosts.forget('a')
  void hosts.of('a')
  assert.equal(asked.length, 2)
})

test('names that failed are looked up one at a time, others in parallel', async () => {
  const { hosts, asked, answer } = system()
  for (const name of ['dead-1', 'dead-2', 'dead-3']) {
    const failed = assert.rejects(Promise.resolve(hosts.of(name)))
    await answer(name, new Error('EAI_AGAIN'), 5_000)
    await failed
  }
  asked.length = 0
  for (const name of ['dead-1', 'dead-2', 'dead-3']) void Promise.resolve(hosts.of(name)).catch(() => {})
  void hosts.of('fine')
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(asked.sort(), ['dead-1', 'fine'])
  asked.length = 0
  await answer('dead-1', '192.0.2.1') // alive again, and no longer among the slow
  assert.deepEqual(asked, ['dead-2'])
})
