/**
 * Large bodies through a mapping, by an unmodified client: curl, 200 MB each way from agent-a, less in the other
 * direction. Each side digests what it sent or received, and the digests are compared.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventually, format, pair, Stage } from './harness.ts'
import type { Gateway, Pair } from './harness.ts'
import { findProgram } from './program.ts'
import { noise } from './servers.ts'

const LARGE = 200_000_000
const SMALL = 20_000_000
const DIRECTIONS = [
  { from: 'a', to: 'agent-b', bytes: LARGE },
  { from: 'b', to: 'agent-a', bytes: SMALL },
] as const

const curl = findProgram('curl')
let stage: Stage
let gateways: Pair

before(async () => {
  stage = await Stage.open()
  const http = await startHttp()
  gateways = await pair(
    stage,
    { map: ['0:agent-b:80'], expose: [`80=${http}`] },
    { map: ['0:agent-a:80'], expose: [`80=${http}`] },
  )
})
after(async () => stage.close())

for (const { from, to, bytes } of DIRECTIONS) {
  test(`curl downloads ${bytes} bytes from a service of ${to} intact`, async (t) => {
    // The service digests a key stream as it sends it, the test what curl writes to stdout.
    if (curl === undefined) return t.skip('curl is not installed')
    const began = performance.now()
    const digest = createHash('sha256')
    const program = stage.spawn(
      curl,
      ['--silent', '--show-error', '--fail', '--noproxy', '*', urlOf(gateways[from], to, `bytes/${bytes}`)],
      { onBytes: (chunk) => digest.update(chunk) },
    )
    assert.deepEqual(await program.ended(LIMIT_MS), { code: 0, signal: null }, program.stderr)
    assert.equal(digest.digest('hex'), sha256(bytes))
    told(t, bytes, began)
  })

  test(`curl uploads ${bytes} bytes to a service of ${to} intact`, async (t) => {
    // curl sends a file; the service answers with the digest of what it got.
    if (curl === undefined) return t.skip('curl is not installed')
    const file = stage.path(`upload-${bytes}`)
    await writeNoise(file, bytes)
    const began = performance.now()
    const { code, stdout, stderr } = await stage.run(
      curl,
      [
        '--silent',
        '--show-error',
        '--fail',
        '--noproxy',
        '*',
        '--upload-file',
        file,
        urlOf(gateways[from], to, 'digest'),
      ],
      { timeoutMs: LIMIT_MS },
    )
    assert.equal(code, 0, stderr)
    assert.equal(stdout, `${bytes} ${sha256(bytes)}`)
    told(t, bytes, began)
  })
}

test('after the transfers no connection is left, and every byte was counted', async () => {
  // The bodies' bytes are a lower bound for the counters on both sides.
  // The last connection may end a moment after curl does.
  for (const gateway of [gateways.a, gateways.b]) {
    const status = await eventually(`no connections at ${gateway.setup.name}`, async () => {
      const now = await gateway.status()
      return now.connections === 0 ? now : undefined
    })
    if (curl === undefined) continue
    assert.ok(status.counters['bytes_in']! >= LARGE + SMALL, `bytes_in ${status.counters['bytes_in']}`)
    assert.ok(status.counters['bytes_out']! >= LARGE + SMALL, `bytes_out ${status.counters['bytes_out']}`)
  }
})

/** GET /bytes/N sends N bytes of the key stream; PUT /digest answers with count and digest of the body. */
async function startHttp(): Promise<string> {
  const server = createServer((request, response) => {
    const wanted = /^\/bytes\/(\d+)$/.exec(request.url ?? '')?.[1]
    void (wanted === undefined ? digestBody(request, response) : sendNoise(response, Number(wanted)))
  })
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  stage.defer(async () => {
    server.closeAllConnections()
    server.close()
  })
  const { address, port } = server.address() as AddressInfo
  return format({ host: address, port })
}

async function sendNoise(response: ServerResponse, length: number): Promise<void> {
  response.writeHead(200, { 'content-length': length })
  for (const block of blocks(length)) if (!response.write(block)) await once(response, 'drain')
  response.end()
}

async function digestBody(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const hash = createHash('sha256')
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    hash.update(chunk)
  }
  response.end(`${length} ${hash.digest('hex')}`)
}

async function writeNoise(path: string, length: number): Promise<void> {
  const file = createWriteStream(path)
  for (const block of blocks(length)) if (!file.write(block)) await once(file, 'drain')
  file.end()
  await once(file, 'close')
}

/** The same block of noise repeated, each time with its number in front, so no two blocks are alike. */
function* blocks(length: number): Generator<Buffer> {
  for (let at = 0, index = 0; at < length; at += BLOCK.length, index++) {
    const block = Buffer.from(BLOCK.subarray(0, Math.min(BLOCK.length, length - at)))
    if (block.length >= 4) block.writeUInt32BE(index)
    yield block
  }
}

const digests = new Map<number, string>()

function sha256(length: number): string {
  const known = digests.get(length)
  if (known !== undefined) return known
  const hash = createHash('sha256')
  for (const block of blocks(length)) hash.update(block)
  const digest = hash.digest('hex')
  digests.set(length, digest)
  return digest
}

function urlOf(gateway: Gateway, peer: string, path: string): string {
  return `http://${format(gateway.local(`${peer}:80`))}/${path}`
}

function told(t: { diagnostic(text: string): void }, bytes: number, began: number): void {
  const seconds = (performance.now() - began) / 1_000
  t.diagnostic(`${(bytes / 1e6 / seconds).toFixed(0)} MB/s, ${seconds.toFixed(1)} s`)
}

const BLOCK = noise(65_521) // a prime: no boundary coincides with it for long
const LIMIT_MS = 60_000
