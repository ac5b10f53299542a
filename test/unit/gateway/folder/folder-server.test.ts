/** A shared folder over HTTP, on streams in memory: what is served, how, and what never is. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { FolderServer } from '../../../../src/gateway/folder/folder-server.ts'
import { AccessLog } from '../../../../src/gateway/http/access-log.ts'
import { silentLogger } from '../../../../src/runtime/log.ts'

const BIG = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251))
const CHANGED = new Date('2026-01-02T03:04:05Z')

let dir: string
let server: FolderServer
const access = new AccessLog(silentLogger)
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pg-folder-'))
  const site = join(dir, 'site')
  for (const folder of ['site', 'site/sub', 'site/own', 'site/.git', 'site/state', 'site/a & <b>', 'outside'])
    await mkdir(join(dir, folder))
  await writeFile(join(site, 'hello.txt'), 'hello')
  await writeFile(join(site, 'empty.bin'), '')
  await writeFile(join(site, 'big.bin'), BIG)
  await writeFile(join(site, 'sub', 'two.json'), '{}')
  await writeFile(join(site, 'own', 'index.html'), '<p>mine</p>')
  await writeFile(join(site, '.env'), 'SECRET')
  await writeFile(join(site, '.git', 'config'), 'SECRET')
  await writeFile(join(site, 'state', 'identity.json'), 'SECRET')
  await writeFile(join(dir, 'outside', 'secret.txt'), 'SECRET')
  await writeFile(join(dir, 'sitesecret.txt'), 'SECRET')
  await symlink(join(dir, 'outside'), join(site, 'way-out'))
  await symlink(join(dir, 'outside', 'secret.txt'), join(site, 'leak.txt'))
  await symlink(join(site, '.env'), join(site, 'env.txt'))
  await symlink('hello.txt', join(site, 'same.txt'))
  await symlink('nowhere', join(site, 'broken.txt'))
  await utimes(join(site, 'hello.txt'), CHANGED, CHANGED)
  await symlink(site, join(dir, 'link-to-site'))
  server = new FolderServer(join(dir, 'link-to-site'), join(site, 'state'), access)
})
after(async () => rm(dir, { recursive: true }))

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A connection that is served; Node's client takes it for a socket. */
function connection(): Duplex {
  const [near, far] = duplexPair()
  const socket = (end: Duplex): Duplex =>
    Object.assign(end, {
      setTimeout: () => end,
      setNoDelay: () => {},
      setKeepAlive: () => {},
      ref: () => {},
      unref: () => {},
      destroySoon: () => end.end(),
    })
  server.serve(socket(far), { http: 'expose', service: 'site', peer: 'agent-a', nodeId: 2 })
  return socket(near)
}

async function ask(path: string, headers: OutgoingHttpHeaders = {}, method = 'GET'): Promise<Answer> {
  const agent = Object.assign(new Agent(), { createConnection: () => connection() })
  return await new Promise((resolve, reject) => {
    const out = request({ host: 'localhost', path, headers, method, agent }, (res) => {
      const parts: Buffer[] = []
      res.on('data', (part: Buffer) => parts.push(part))
      res.on('end', () => resolve({ status: res.statusCode!, headers: res.headers, body: Buffer.concat(parts) }))
      res.on('error', reject)
    })
    out.on('error', reject).end()
  })
}

test('files are served whole, with type, length and validators; HEAD has the same head and no body', async () => {
  const { status, headers, body } = await ask('/hello.txt?x=1')
  assert.deepEqual([status, body.toString()], [200, 'hello'])
  assert.equal(headers['content-type'], 'text/plain; charset=utf-8')
  assert.equal(headers['last-modified'], CHANGED.toUTCString())
  assert.equal(headers['x-content-type-options'], 'nosniff')
  assert.ok((await ask('/big.bin')).body.equals(BIG))
  assert.equal((await ask('/sub/two.json')).headers['content-type'], 'application/json; charset=utf-8')
  assert.equal((await ask('/same.txt')).body.toString(), 'hello', 'a link inside the folder')
  const head = await ask('/hello.txt', {}, 'HEAD')
  assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '5', 0])
  const empty = await ask('/empty.bin')
  assert.deepEqual([empty.status, empty.headers['content-length'], empty.body.length], [200, '0', 0])
})

test('nothing outside of the folder, nothing hidden, and nothing of the state can be reached', async () => {
  const paths = [
    '/.env',
    '/.git/config',
    '/.git/',
    '/env.txt',
    '/leak.txt',
    '/way-out/',
    '/way-out/secret.txt',
    '/broken.txt',
    '/state/',
    '/state/identity.json',
    '/../outside/secret.txt',
    '/sub/../../outside/secret.txt',
    '/%2e%2e/outside/secret.txt',
    '/..%2foutside%2fsecret.txt',
    '/sub%2f..%2f..%2foutside/secret.txt',
    '/..%5coutside%5csecret.txt',
    '/../sitesecret.txt',
    '/hello.txt%00.html',
    '/hello.txt/',
    '/%',
    '/%c0%ae%c0%ae/outside/secret.txt',
    '//etc/passwd',
    '/nothing.txt',
  ]
  for (const path of paths) {
    const { status, body } = await ask(path)
    assert.equal(status, 404, path)
    assert.doesNotMatch(body.toString(), /SECRET|root:/, path)
  }
})

test('a folder without index.html is listed, for people and for programs, without what cannot be reached', async () => {
  const { headers, body } = await ask('/')
  const names = [...body.toString().matchAll(/href="([^"]*)"/g)].map(([, href]) => href)
  assert.deepEqual(names, [
    './a%20%26%20%3Cb%3E/',
    './own/',
    './sub/',
    './big.bin',
    './empty.bin',
    './hello.txt',
    './same.txt',
  ])
  assert.ok(body.includes('a &amp; &lt;b&gt;/</a>') && !body.includes('<b>'))
  assert.match(String(headers['content-security-policy']), /default-src 'none'/)
  const json = JSON.parse((await ask('/sub/', { accept: 'application/json' })).body.toString()) as object
  assert.deepEqual(Object.keys(json), ['entries', 'complete'])
  assert.equal((await ask('/own/')).body.toString(), '<p>mine</p>')
  const there = await ask('/sub')
  assert.deepEqual([there.status, there.headers.location], [308, './sub/'])
  assert.equal((await ask('/a%20%26%20%3Cb%3E')).headers.location, './a%20%26%20%3Cb%3E/')
})

test('ranges: from, to and suffix; one that does not fit is 416; several, or a changed file, are the whole file', async () => {
  for (const [range, first, last] of [
    ['bytes=0-9', 0, 9],
    ['bytes=299990-', 299_990, 299_999],
    ['bytes=-5', 299_995, 299_999],
    ['bytes=100-999999999', 100, 299_999],
    ['bytes=-999999999', 0, 299_999],
  ] as const) {
    const { status, headers, body } = await ask('/big.bin', { range })
    assert.deepEqual([status, headers['content-range']], [206, `bytes ${first}-${last}/300000`], range)
    assert.ok(body.equals(BIG.subarray(first, last + 1)), range)
  }
  for (const range of ['bytes=300000-', 'bytes=-0']) {
    const { status, headers } = await ask('/big.bin', { range })
    assert.deepEqual([status, headers['content-range']], [416, 'bytes */300000'], range)
  }
  for (const range of ['bytes=0-1,5-6', 'bytes=9-3', 'bytes=-', 'lines=1-2'])
    assert.deepEqual([(await ask('/big.bin', { range })).status], [200], range)
  const { etag } = (await ask('/big.bin')).headers
  assert.equal((await ask('/big.bin', { range: 'bytes=0-9', 'if-range': etag })).status, 206)
  assert.equal((await ask('/big.bin', { range: 'bytes=0-9', 'if-range': '"other"' })).status, 200)
})

test('an unchanged file is 304; the tag decides if both conditions are there', async () => {
  const { etag, 'last-modified': modified } = (await ask('/hello.txt')).headers
  for (const [headers, status] of [
    [{ 'if-none-match': etag }, 304],
    [{ 'if-none-match': `"x", W/${etag}` }, 304],
    [{ 'if-none-match': '*' }, 304],
    [{ 'if-none-match': '"x"' }, 200],
    [{ 'if-modified-since': modified }, 304],
    [{ 'if-modified-since': new Date(CHANGED.getTime() - 1_000).toUTCString() }, 200],
    [{ 'if-none-match': '"x"', 'if-modified-since': modified }, 200],
  ] as const)
    assert.equal((await ask('/hello.txt', headers as OutgoingHttpHeaders)).status, status, JSON.stringify(headers))
})

test('nothing can be changed, and a name of the public DNS gets nothing', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    const { status, headers } = await ask('/hello.txt', {}, method)
    assert.deepEqual([status, headers.allow], [405, 'GET, HEAD'], method)
  }
  assert.equal((await ask('/hello.txt', { host: 'rebound.example.com' })).status, 403)
})

test('a file that becomes shorter while it is sent cuts the connection instead of ending the answer', async () => {
  const path = join(dir, 'site', 'shrinks.bin')
  await writeFile(path, Buffer.alloc(20_000_000))
  const agent = Object.assign(new Agent(), { createConnection: () => connection() })
  const outcome = await new Promise<string>((resolve) => {
    const out = request({ host: 'localhost', path: '/shrinks.bin', agent }, (res) => {
      res.once('data', () => {
        res.pause()
        void truncate(path, 10).then(() => res.resume())
      })
      res.on('end', () => resolve('complete')).on('error', () => resolve('cut'))
    })
    out.on('error', () => resolve('cut')).end()
  })
  assert.equal(outcome, 'cut')
  await rm(path)
})

test('each request is noted with the peer and the path, without its query', async () => {
  await ask('/hello.txt?token=1')
  const last = access.recent.at(-1)!
  assert.deepEqual(
    [last.service, last.peer, last.method, last.path, last.status, last.bytesOut],
    ['site', 'agent-a', 'GET', '/hello.txt', 200, 5],
  )
})
