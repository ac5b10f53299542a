/**
 * Data exchange with the reference of today, in both roles: what its pilotctl sends is in our inbox, and what we send is in
 * its folders, as its own commands show them.
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import type { InboxRecord, OutgoingRecord } from '../../src/services/messages/records.ts'
import { eventually, Gateway, Stage } from '../e2e/harness.ts'
import { noise } from '../e2e/servers.ts'
import { packetsOut } from './containment.ts'
import type { GoNode } from './go.ts'
import { noToday, trustedPair } from './go.ts'

describe('messages and files with a daemon of today', { skip: noToday, concurrency: false }, () => {
  let stage: Stage
  let go: GoNode
  let ours: Gateway
  let sentBefore = 0

  before(async () => {
    stage = await Stage.open()
    sentBefore = packetsOut()
    const pair = await trustedPair(stage, 'messages')
    go = pair.go
    ours = pair.ours
  })
  after(async () => stage?.close())

  for (const type of ['text', 'json', 'binary'] as const)
    test(`pilotctl send-message --type ${type} is in our inbox`, async () => {
      const data = type === 'json' ? '{"a":1}' : `a ${type}`
      const answer = await go.ctl('send-message', ours.ready.node.address, '--data', data, '--type', type)
      assert.match(JSON.stringify(answer), new RegExp(`ACK ${type.toUpperCase()} ${data.length} bytes`))
      const record = (await ours.json<InboxRecord[]>('inbox', 'list')).at(-1)!
      assert.deepEqual([record.type, record.nodeId, record.bytes], [type, go.nodeId, data.length])
      assert.equal((await ours.cli('inbox', 'read', record.id)).stdout, data)
    })

  test('pilotctl send-file is in our received folder, also beyond a window', async () => {
    const content = noise(3_000_000)
    const path = stage.path('from-go.bin')
    await writeFile(path, content)
    await go.ctl('send-file', ours.ready.node.address, path)
    const record = (await ours.json<InboxRecord[]>('inbox', 'list')).at(-1)!
    assert.deepEqual([record.type, record.name, record.bytes], ['file', 'from-go.bin', content.length])
    assert.ok((await readFile(record.path)).equals(content))
  })

  test('what we send is what pilotctl inbox shows, with its id', async () => {
    const sent = await ours.json<OutgoingRecord>('send', 'go-a', '--text', 'grüße', '--reply-to', 'm0')
    assert.equal(sent.state, 'delivered')
    const shown = JSON.stringify(await go.ctl('inbox'))
    for (const part of ['grüße', sent.id, 'm0']) assert.ok(shown.includes(part), `${part} in ${shown}`)
  })

  test('a file that we send is in its received folder, in steps', async () => {
    const content = noise(3_000_000)
    const path = stage.path('from-ours.bin')
    await writeFile(path, content)
    const sent = await ours.json<OutgoingRecord>('send', 'go-a', path)
    assert.equal(sent.state, 'delivered')
    const shown = (await go.ctl('received')) as { files?: Array<{ path?: string; name: string; bytes?: number }> }
    const file = shown.files?.find(({ name }) => name.startsWith('from-ours'))
    assert.ok(file !== undefined, JSON.stringify(shown))
    assert.ok((await readFile(`${go.home}/.pilot/received/${file.name}`)).equals(content))
  })

  test('a message of ours waits while the daemon is off, and arrives once when it is back', async () => {
    await go.program.kill()
    const sent = await ours.json<OutgoingRecord>('send', 'go-a', '--text', 'while you were away')
    assert.equal(sent.state, 'waiting')
    await go.restart()
    await eventually(
      'it is delivered',
      async () => ((await ours.json<unknown[]>('outbox', 'list')).length === 0 ? true : undefined),
      120_000,
    )
    assert.equal(JSON.stringify(await go.ctl('inbox')).split('while you were away').length, 2)
  })

  test('pilotctl reads an inbox folder that we filled, text and binary', async () => {
    const file = stage.path('shared.yaml')
    const folder = `${go.home}/.pilot`
    await writeFile(file, `version: 1\nserve: { messages: { inbox: ${folder}/inbox, received: ${folder}/received } }\n`)
    const { registry, beacon } = ours.setup
    const other = await Gateway.start(stage, { name: 'other', registry, beacon, trust: ['ours'], args: ['-c', file] })
    await ours.cli('trust', 'request', 'other')
    await other.trusts('ours')
    assert.equal((await ours.json<OutgoingRecord>('send', 'other', '--text', 'for pilotctl')).state, 'delivered')
    const path = stage.path('bytes')
    await writeFile(path, Uint8Array.of(0xff, 0xfe, 0))
    assert.equal((await ours.json<OutgoingRecord>('send', 'other', path, '--type', 'binary')).state, 'delivered')
    const { messages } = (await go.ctl('inbox')) as {
      messages: Array<{ type: string; bytes: number; preview: string }>
    }
    assert.deepEqual(
      messages.slice(0, 2).map(({ type, bytes, preview }) => [type, bytes, preview]),
      [
        ['BINARY', 3, ''],
        ['TEXT', 12, 'for pilotctl'],
      ],
    )
  })

  test('nothing has left the machine', () => assert.equal(packetsOut(), sentBefore))
})
