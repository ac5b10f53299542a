/** DNS answers as bytes, for a zone with one peer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, encode } from 'dns-packet'
import type { DecodedPacket, Packet, RecordType } from 'dns-packet'
import fc from 'fast-check'
import { answerQuestion } from '../../../../src/gateway/fronts/dns-answers.ts'
import type { Zone } from '../../../../src/gateway/fronts/dns-answers.ts'
import type { MappedRecord } from '../../../../src/gateway/model/records.ts'

const mapped = (port: number, protocol: 'tcp' | 'udp' = 'tcp'): MappedRecord => ({
  name: `alice:${port}`,
  local: `127.77.1.2:${port + 1_000}`,
  peer: 'alice',
  remote: `0:0000.0000.0002:${port}`,
  protocol,
})

function zone(records: readonly MappedRecord[] = [mapped(80), mapped(53, 'udp')]): Zone & { readonly used: string[] } {
  const used: string[] = []
  return {
    used,
    domain: 'pilot',
    find: async (peer) => {
      if (peer === 'away') throw new Error('the registry does not answer')
      return peer === 'alice' ? { peer, node: 2, local: '127.77.1.2' } : undefined
    },
    mapUsualPorts: async (peer) => {
      used.push(peer)
    },
    mappedOf: () => records,
    peerAt: (address) => (address === '127.77.1.2' ? 'alice' : undefined),
    dnsNameOf: (peer) => `${peer}.pilot`,
  }
}

async function ask(
  name: string,
  type: RecordType,
  more: Packet = {},
  limit = 512,
  from = zone(),
): Promise<DecodedPacket & { readonly rcode: string }> {
  const answer = await answerQuestion(
    from,
    encode({ type: 'query', id: 77, flags: 0x100, questions: [{ type, name }], ...more }),
    limit,
  )
  return decode(Buffer.from(answer!)) as DecodedPacket & { readonly rcode: string }
}

test('a peer has an A record of its loopback address, under both names and in any case', async () => {
  for (const name of ['alice.pilot', 'ALICE.Pilot', 'alice.pilot.localhost']) {
    const { id, rcode, answers, flag_aa: authoritative, flag_ra: recursive, questions } = await ask(name, 'A')
    assert.deepEqual([id, rcode, authoritative, recursive], [77, 'NOERROR', true, false])
    assert.deepEqual(
      answers!.map((answer) => [answer.type, answer.name, 'data' in answer ? answer.data : undefined]),
      [['A', name, '127.77.1.2']],
    )
    assert.equal(questions![0]!.name, name)
  }
})

test('a name that exists is mapped, a nonexistent one is not', async () => {
  const names = zone()
  await ask('alice.pilot', 'A', {}, 512, names)
  await ask('bob.pilot', 'A', {}, 512, names)
  assert.deepEqual(names.used, ['alice'])
})

test('other types have no data, other names do not exist, and without the registry the answer is SERVFAIL', async () => {
  const cases: [string, RecordType, string, number, string][] = [
    ['alice.pilot', 'AAAA', 'NOERROR', 0, 'SOA'],
    ['pilot', 'A', 'NOERROR', 0, 'SOA'],
    ['pilot', 'SOA', 'NOERROR', 1, ''],
    ['bob.pilot', 'A', 'NXDOMAIN', 0, 'SOA'],
    ['www.alice.pilot', 'A', 'NXDOMAIN', 0, 'SOA'],
    ['example.com', 'A', 'NXDOMAIN', 0, ''],
    ['xpilot', 'A', 'NXDOMAIN', 0, ''],
    ['away.pilot', 'A', 'SERVFAIL', 0, ''],
    ['2.1.77.127.in-addr.arpa', 'PTR', 'NOERROR', 1, ''],
    ['3.1.77.127.in-addr.arpa', 'PTR', 'NXDOMAIN', 0, 'SOA'],
    ['1.0.0.127.in-addr.arpa', 'PTR', 'NXDOMAIN', 0, ''],
  ]
  for (const [name, type, rcode, answers, authority] of cases) {
    const reply = await ask(name, type)
    assert.deepEqual(
      [reply.rcode, reply.answers!.length, reply.authorities![0]?.type ?? ''],
      [rcode, answers, authority],
      `${name} ${type}`,
    )
  }
})

test('SRV finds mapped ports by number, by service and by protocol', async () => {
  const found = async (name: string): Promise<unknown[]> =>
    (await ask(name, 'SRV')).answers!.map((answer) =>
      answer.type === 'SRV' ? [answer.data.port, answer.data.target] : [],
    )
  assert.deepEqual(await found('alice.pilot'), [
    [1_080, 'alice.pilot'],
    [1_053, 'alice.pilot'],
  ])
  assert.deepEqual(await found('_http._tcp.alice.pilot'), [[1_080, 'alice.pilot']])
  assert.deepEqual(await found('_80._tcp.alice.pilot'), [[1_080, 'alice.pilot']])
  assert.deepEqual(await found('_udp.alice.pilot'), [[1_053, 'alice.pilot']])
  assert.deepEqual(await found('_http._udp.alice.pilot'), [])
  assert.equal((await ask('_http._udp.alice.pilot', 'SRV')).rcode, 'NXDOMAIN')
})

test('an answer too large for UDP is truncated and flagged; EDNS and TCP allow more', async () => {
  const many = zone(Array.from({ length: 20 }, (_, index) => mapped(2_000 + index)))
  const opt: Packet = {
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: 4_096,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  }
  const short = await ask('alice.pilot', 'SRV', {}, 512, many)
  assert.deepEqual([short.flag_tc, short.answers!.length], [true, 0])
  const edns = await ask('alice.pilot', 'SRV', opt, 512, many)
  assert.deepEqual(
    [edns.flag_tc, edns.answers!.length, edns.additionals!.map(({ type }) => type)],
    [false, 20, ['OPT']],
  )
  const tcp = await ask('alice.pilot', 'SRV', {}, 65_535, many)
  assert.deepEqual([tcp.flag_tc, tcp.answers!.length], [false, 20])
})

test('an unsupported EDNS version is answered with BADVERS', async () => {
  const opt = { type: 'OPT', name: '.', udpPayloadSize: 4_096, extendedRcode: 0, ednsVersion: 1 } as const
  const { additionals, rcode, answers } = await ask('alice.pilot', 'A', {
    additionals: [{ ...opt, flags: 0, flag_do: false, options: [] }],
  })
  const [edns] = additionals as unknown as [{ extendedRcode: number; ednsVersion: number }]
  assert.deepEqual([edns.extendedRcode, edns.ednsVersion, rcode, answers!.length], [1, 0, 'NOERROR', 0])
})

test('answers and malformed queries are not answered; other operations and multiple questions are refused', async () => {
  assert.equal(
    await answerQuestion(
      zone(),
      encode({ type: 'response', id: 1, questions: [{ type: 'A', name: 'alice.pilot' }] }),
      512,
    ),
    undefined,
  )
  const two = await ask('alice.pilot', 'A', {
    questions: [
      { type: 'A', name: 'alice.pilot' },
      { type: 'A', name: 'bob.pilot' },
    ],
  })
  assert.equal(two.rcode, 'FORMERR')
  assert.equal((await ask('alice.pilot', 'A', { flags: 2 << 11 })).rcode, 'NOTIMP')
})

test('random bytes are dropped or answered, nothing else', async () => {
  const question = encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'alice.pilot' }] })
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), fc.nat(question.length - 1), async (bytes, at) => {
      await answerQuestion(zone(), bytes, 512).catch((error: unknown) => assert.ok(error instanceof Error))
      const changed = Buffer.from(question)
      changed.set(bytes.subarray(0, changed.length - at), at)
      await answerQuestion(zone(), changed, 512).catch((error: unknown) => assert.ok(error instanceof Error))
    }),
  )
})
