/**
 * Internals of Node and V8 that we rely on without any guarantee, each tested for the effect we use, on the version
 * that runs this. `node scripts/test.mjs node-versions` runs it on every supported version.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { v8Collector } from '../../../../src/runtime/v8/collector.ts'

const MB = 1_048_576

test('the collector is available without a flag, does not stay visible, and a minor collection frees young buffers', async () => {
  const collect = v8Collector()
  assert.ok(collect)
  assert.equal(typeof (globalThis as { gc?: unknown }).gc, 'undefined')
  collect()
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 200; i++) new Uint8Array(60_000).fill(1)
  const grown = process.memoryUsage().arrayBuffers - before
  assert.ok(grown > 4 * MB, `only ${grown} bytes of buffers wait for the collector`)
  collect({ type: 'minor' })
  await new Promise((resolve) => setTimeout(resolve, 200)) // V8 frees the memory itself on another thread
  const left = process.memoryUsage().arrayBuffers - before
  assert.ok(left < 2 * MB, `${left} of ${grown} bytes are left`)
})

test('V8 knows every flag that is set at run time', () => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8', maxBuffer: 16 * MB })
  for (const flag of ['expose-gc', 'incremental-marking', 'semi-space-growth-factor'])
    assert.match(known, new RegExp(`--(no-)?${flag.replaceAll('-', '[-_]')}\\b`), flag)
})

test('the young generation stays small in a process that tunes its memory, and would not otherwise', () => {
  const [tuned, untuned] = [youngSpaceBytes(true), youngSpaceBytes(false)]
  // V8 12 doubles it to a fixed size; V8 14 makes it any size, by its own measurements, so only the direction is a promise.
  assert.ok(tuned <= 0.8 * untuned, `${untuned / MB} MB without the tuning, ${tuned / MB} MB with it`)
})

test('a socket whose peer has reset it has no remote address once the remembered one is forgotten', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [Socket]
  await once(client, 'connect')
  assert.equal(client.remoteAddress, '127.0.0.1') // Node remembers it from here on
  client.on('error', () => undefined)
  accepted.resetAndDestroy()
  await new Promise((resolve) => setTimeout(resolve, 100)) // nothing reads: only the kernel knows about the reset
  assert.equal(client.remoteAddress, '127.0.0.1')
  ;(client as Socket & { _peername?: unknown })._peername = undefined
  assert.equal(client.remoteAddress, undefined)
  client.destroy()
  server.close()
})

/** Of a process that creates many objects that live for a while. */
function youngSpaceBytes(tuned: boolean): number {
  const memory = fileURLToPath(new URL('../../../../src/cli/memory.ts', import.meta.url))
  const script = `
    ${tuned ? `const { tuneMemory } = await import(${JSON.stringify(memory)}); tuneMemory();` : ''}
    const { getHeapSpaceStatistics } = await import('node:v8')
    const recent = []
    for (let turn = 0; turn < 300; turn++) {
      for (let i = 0; i < 20_000; i++) recent[(turn * 20_000 + i) % 400_000] = { turn, i, text: 'x' + i }
      await new Promise((resolve) => setImmediate(resolve))
    }
    console.log(getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space').space_size)`
  const output = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  return Number(output)
}
