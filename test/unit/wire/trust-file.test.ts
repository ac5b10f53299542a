/** trust.json as recorded in identity.json and handshake-444.json. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { TrustBook } from '../../../src/proto/trust/trust-book.ts'
import { formatTrustFile, parseTrustFile, type TrustFile } from '../../../src/wire/trust-file.ts'
import { loadVectors } from '../../vectors/load.ts'

test('every recorded trust file is parsed, and formatted again byte by byte', () => {
  const {
    trust_files: { samples },
  } = loadVectors<{ trust_files: { samples: { name: string; text: string }[] } }>('identity')
  const { scenarios } = loadVectors<{ scenarios: { trust_files?: Record<string, string> }[] }>('handshake-444')
  const texts = [
    ...samples.map(({ text }) => text),
    ...scenarios.flatMap((scenario) => Object.values(scenario.trust_files ?? {})),
  ]
  assert.ok(texts.length >= 20)
  for (const text of texts) assert.equal(formatTrustFile(parsed(text)), text)
})

test('fields the reference leaves out parse as empty', () => {
  const file = parsed(
    '{"trusted":[{"node_id":2,"approved_at":"2026-11-22T09:45:45Z"}],"pending":[{"node_id":3,"received_at":"2026-11-22T10:45:45+01:00"}],"x":1}',
  )
  assert.deepEqual(file, {
    trusted: [{ nodeId: 2, publicKey: '', approvedAt: '2026-11-22T09:45:45Z', mutual: false, network: 0 }],
    pending: [{ nodeId: 3, publicKey: '', justification: '', receivedAt: '2026-11-22T10:45:45+01:00' }],
  })
  assert.deepEqual(parsed('{}'), { trusted: [], pending: [] })
  assert.equal(formatTrustFile({ trusted: [], pending: [] }), '{\n  "trusted": null\n}')
})

test('a justification is escaped as in Go and comes back unchanged', () => {
  const file: TrustFile = {
    trusted: [],
    pending: [{ nodeId: 1, publicKey: '', justification: '<b>&\u2028"', receivedAt: 'x' }],
  }
  const text = formatTrustFile(file)
  assert.ok(text.includes('"justification": "\\u003cb\\u003e\\u0026\\u2028\\""'), text)
  assert.deepEqual(parsed(text), file)
})

test('peers whose trust was revoked come last', () => {
  const file: TrustFile = {
    trusted: [],
    pending: [],
    revoked: [
      { nodeId: 7, publicKey: 'S0VZ', hostname: 'agent-b' },
      { nodeId: 8, publicKey: 'S0VX' },
    ],
  }
  assert.deepEqual(parsed(formatTrustFile(file)), file)
  assert.equal(parseTrustFile('{"revoked":[{"node_id":0}]}'), 'bad_revoked')
})

test('names, guests and our requests survive a round trip, and a bad request is a fault', () => {
  const file: TrustFile = {
    trusted: [
      { nodeId: 2, publicKey: 'S0VZ', approvedAt: 'x', mutual: true, network: 0, hostname: 'agent-b' },
      { nodeId: 3, publicKey: 'S0VX', approvedAt: 'x', mutual: true, network: 0, guest: true },
    ],
    pending: [{ nodeId: 4, publicKey: 'S0VX', justification: '', receivedAt: 'x', hostname: 'agent-d' }],
    requested: [
      { peer: 'agent-c', hostname: 'agent-c', reason: 'it is me' },
      { peer: '0:0000.0000.0009', nodeId: 9, reason: '', publicKey: 'S0VX' },
    ],
  }
  assert.deepEqual(parsed(formatTrustFile(file)), file)
  for (const bad of ['{}', '{"peer":"a"}', '{"peer":"","hostname":"a"}', '{"peer":"a","node_id":"9"}'])
    assert.equal(parseTrustFile(`{"requested":[${bad}]}`), 'bad_requested', bad)
})

test('our own id is written last, read back, and absent where the reference wrote the file', () => {
  const text = formatTrustFile({ trusted: [], pending: [], ownId: 7 })
  assert.equal(text, '{\n  "trusted": null,\n  "own_node_id": 7\n}')
  assert.deepEqual(parseTrustFile(text), { trusted: [], pending: [], ownId: 7 })
  assert.deepEqual(parseTrustFile('{"trusted":null,"own_node_id":"x"}'), { trusted: [], pending: [] })
})

test('a file with one bad entry is refused entirely', () => {
  const good = '{"node_id":1,"approved_at":"x"}'
  for (const entry of [
    '{}',
    '{"node_id":0}',
    '{"node_id":"1"}',
    '{"node_id":1,"mutual":1}',
    '{"node_id":1,"network":70000}',
    '{"node_id":1,"public_key":2}',
    '[]',
    'null',
  ]) {
    assert.equal(parseTrustFile(`{"trusted":[${good},${entry}]}`), 'bad_trusted', entry)
  }
  for (const entry of ['{}', '{"node_id":1,"justification":5}', '{"node_id":1,"received_at":5}', '7']) {
    assert.equal(parseTrustFile(`{"trusted":null,"pending":[${entry}]}`), 'bad_pending', entry)
  }
  assert.equal(parseTrustFile('{"trusted":{}}'), 'bad_trusted')
  for (const text of ['', 'null', '[]', 'hello', '{']) assert.equal(parseTrustFile(text), 'not_json', text)
})

function parsed(text: string): TrustFile {
  const file = parseTrustFile(text)
  assert.ok(typeof file !== 'string', `${String(file)}: ${text}`)
  return file
}

/** As a daemon of 1.18 wrote it, apart from the keys. */
const TODAY = `{
  "trusted": null,
  "pending": [
    {
      "node_id": 2,
      "public_key": "S0VZ",
      "justification": "direct please",
      "received_at": "2026-11-30T12:44:27Z",
      "source": 2
    }
  ],
  "outgoing": [
    {
      "node_id": 1,
      "sent_at": "2026-11-30T12:44:27Z"
    }
  ],
  "revoked": [
    {
      "node_id": 3,
      "until": "2026-11-30T12:37:28Z"
    }
  ]
}`

test('H8: what a daemon of today keeps in the file comes back byte by byte, and revokes nothing', () => {
  const file = parsed(TODAY)
  assert.equal(file.revoked, undefined)
  assert.deepEqual(file.cooldowns, [{ nodeId: 3, time: '2026-11-30T12:37:28Z' }])
  assert.equal(formatTrustFile(file), TODAY)
  const book = new TrustBook()
  book.load(file)
  assert.equal(book.isRevoked({ peer: '3', node: 3, hostname: undefined, reason: '' }), false)
  assert.equal(formatTrustFile(book.save()), TODAY)
})

test('H8: what we revoked has no end for a daemon, and is still ours when read again', () => {
  const file: TrustFile = { trusted: [], pending: [], revoked: [{ nodeId: 7, publicKey: 'S0VZ' }] }
  const text = formatTrustFile(file)
  assert.match(text, /"until": "9999-12-31T23:59:59Z"/)
  assert.deepEqual(parsed(text), file)
  assert.equal(parseTrustFile('{"revoked":[{"node_id":7}]}'), 'bad_revoked')
  assert.equal(parseTrustFile('{"outgoing":[{"node_id":7}]}'), 'bad_outgoing')
})
