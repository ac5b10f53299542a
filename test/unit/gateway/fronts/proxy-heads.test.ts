/** The handshakes of SOCKS5 and HTTP CONNECT as bytes, and which peer a host means. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PilotError } from '../../../../src/base/errors.ts'
import type { ErrorCode } from '../../../../src/base/errors.ts'
import { HttpConnectHead } from '../../../../src/gateway/fronts/http-connect.ts'
import { peerOfHost } from '../../../../src/gateway/model/peer-host.ts'
import type { HeadNews, ProxyHead } from '../../../../src/gateway/fronts/proxy-head.ts'
import { Socks4Head } from '../../../../src/gateway/fronts/socks4.ts'
import { SocksHead } from '../../../../src/gateway/fronts/socks.ts'

/** Feeds the bytes in pieces of `size`. @returns the last result, and the unused bytes. */
function feed(head: ProxyHead, bytes: Buffer, size: number): { readonly news: HeadNews; readonly rest: Buffer } {
  let waiting = Buffer.alloc(0)
  let news: HeadNews = { kind: 'more' }
  for (let at = 0; at < bytes.length; at += size) {
    waiting = Buffer.concat([waiting, bytes.subarray(at, at + size)])
    for (;;) {
      const pushed = head.push(waiting)
      news = pushed.news
      waiting = waiting.subarray(pushed.used)
      if (news.kind !== 'more') return { news, rest: Buffer.concat([waiting, bytes.subarray(at + size)]) }
      if (pushed.used === 0 || waiting.length === 0) break
    }
  }
  return { news, rest: waiting }
}

test('SOCKS5 names its target by name, IPv4 and IPv6, in one piece or byte by byte', () => {
  const greeting = [5, 2, 2, 0]
  const targets: [readonly number[], string][] = [
    [[3, 5, ...Buffer.from('alice')], 'alice'],
    [[1, 127, 77, 0, 2], '127.77.0.2'],
    [[4, ...Array<number>(15).fill(0), 1], '::1'],
  ]
  for (const [target, host] of targets) {
    for (const size of [1, 3, 1_000]) {
      const { news, rest } = feed(
        new SocksHead(),
        Buffer.from([...greeting, 5, 1, 0, ...target, 0x1f, 0x90, 9, 9]),
        size,
      )
      assert.deepEqual([news, [...rest]], [{ kind: 'connect', host, port: 8_080 }, [9, 9]])
    }
  }
})

test('SOCKS4 names its target by IPv4, SOCKS4a by name, in one piece or byte by byte; BIND is refused', () => {
  const user = [...Buffer.from('me'), 0]
  const cases: [readonly number[], string][] = [
    [[4, 1, 0x1f, 0x90, 127, 77, 0, 2, ...user], '127.77.0.2'],
    [[4, 1, 0x1f, 0x90, 0, 0, 0, 1, ...user, ...Buffer.from('alice.pilot'), 0], 'alice.pilot'],
  ]
  for (const [bytes, host] of cases)
    for (const size of [1, 3, 1_000]) {
      const { news, rest } = feed(new Socks4Head(), Buffer.from([...bytes, 9, 9]), size)
      assert.deepEqual([news, [...rest]], [{ kind: 'connect', host, port: 8_080 }, [9, 9]])
    }
  const { news } = feed(new Socks4Head(), Buffer.from([4, 2, 0, 80, 1, 2, 3, 4, 0]), 100)
  assert.deepEqual(news.kind === 'refused' && [...news.reply], [0, 0x5b, 0, 0, 0, 0, 0, 0])
  assert.equal(feed(new Socks4Head(), Buffer.alloc(2_000, 7).fill(4, 0, 1), 2_000).news.kind, 'refused')
})

test('HTTP on the proxy port: CONNECT with bare line feeds, plain http:// requests, and nothing else', () => {
  const kindOf = (text: string): string => feed(new HttpConnectHead(), Buffer.from(text), 1_000).news.kind
  assert.equal(kindOf('CONNECT alice:80 HTTP/1.1\nHost: alice\n\n'), 'connect')
  assert.equal(kindOf('GET http://alice.pilot/ HTTP/1.1\r\nHost: alice.pilot\r\n\r\n'), 'http')
  assert.equal(kindOf('GET / HTTP/1.1\r\nHost: alice.pilot\r\n\r\n'), 'refused')
})

test('SOCKS5 refuses logins, BIND and unknown addresses with its own reply codes', () => {
  const reply = (bytes: readonly number[]): number[] => {
    const { news } = feed(new SocksHead(), Buffer.from(bytes), 1_000)
    return news.kind === 'refused' ? [...news.reply] : []
  }
  assert.deepEqual(reply([5, 1, 2]), [5, 0xff])
  assert.deepEqual(reply([5, 1, 0, 5, 2, 0, 1, 1, 2, 3, 4, 0, 80]).slice(0, 2), [5, 7])
  assert.deepEqual(reply([5, 1, 0, 5, 1, 0, 9, 1, 2, 3, 4, 0, 80]).slice(0, 2), [5, 8])
})

test('failures get the matching reply code or status', () => {
  const cases: [ErrorCode, number, number][] = [
    ['DENIED', 2, 403],
    ['NOT_TRUSTED', 2, 403],
    ['NOT_FOUND', 4, 404],
    ['PEER_UNREACHABLE', 4, 504],
    ['CONNECTION_REFUSED', 5, 502],
    ['TOO_MANY', 1, 429],
  ]
  for (const [code, socks, http] of cases) {
    const error = new PilotError(code, 'why')
    assert.equal(new SocksHead().failed(error)[1], socks, code)
    assert.match(
      Buffer.from(new HttpConnectHead().failed(error)).toString(),
      new RegExp(`^HTTP/1\\.1 ${http} .*\r\n[^]*"code":"${code}"`),
    )
  }
})

test('CONNECT is read with its headers, and the bytes after it are kept', () => {
  for (const size of [1, 7, 1_000]) {
    const { news, rest } = feed(
      new HttpConnectHead(),
      Buffer.from('CONNECT [0:0000.0000.0004]:443 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: y\r\n\r\nbytes'),
      size,
    )
    assert.deepEqual([news, rest.toString()], [{ kind: 'connect', host: '[0:0000.0000.0004]', port: 443 }, 'bytes'])
  }
})

test('a host is a peer only by its names, address, id and loopback address', () => {
  const peerAt = (address: string): string | undefined => (address === '127.77.0.2' ? 'alice' : undefined)
  const peers: Record<string, string> = {
    alice: 'alice',
    'ALICE.Pilot.': 'alice',
    'alice.pilot.localhost': 'alice',
    '4': '4',
    '4.pilot': '4',
    '[0:0000.0000.000a]': '0:0000.0000.000A',
    '0:0000.0000.0004': '0:0000.0000.0004',
    '127.77.0.2': 'alice',
  }
  for (const [host, peer] of Object.entries(peers)) assert.equal(peerOfHost(host, 'pilot', peerAt), peer, host)
  for (const host of [
    '',
    '.',
    'localhost',
    'pilot.',
    '.pilot',
    'a.b.pilot',
    'alice.example',
    'example.com',
    '127.0.0.1',
    '127.77.0.3',
    '::1',
    '[::1]',
    'al ice',
    '0',
    '-x',
  ]) {
    if (host !== 'pilot.') assert.equal(peerOfHost(host, 'pilot', peerAt), undefined, host)
  }
})

test('random handshakes are understood, refused or awaited, and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 40 }), (bytes, size) => {
      feed(new SocksHead(), Buffer.from([5, ...bytes]), size)
      feed(new SocksHead(), Buffer.from([5, 1, 0, 5, 1, 0, ...bytes]), size)
      feed(new HttpConnectHead(), Buffer.from([...Buffer.from('CONNECT '), ...bytes]), size)
    }),
  )
})
