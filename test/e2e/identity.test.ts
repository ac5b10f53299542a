/**
 * What backends learn from the PROXY protocol: nginx on TCP and on a Unix socket, and a TLV parser written from the
 * specification.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { eventually, format, pair, Stage } from './harness.ts'
import type { Pair } from './harness.ts'
import { httpBackend } from './http-backend.ts'
import { findProgram } from './program.ts'
import { everything, noise, open, refusing, serve, some, summaryOf, talk } from './servers.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

test('nginx reads PROXY protocol v1 and v2, on TCP and on a Unix socket, and sees the right caller', async (t) => {
  const [nginx, curl] = [findProgram('nginx'), findProgram('curl')]
  if (nginx === undefined || curl === undefined) return t.skip('not installed: nginx or curl')
  const [target, folder] = [await refusing(), stage.path('nginx')]
  const socket = `${folder}/nginx.sock`
  await chmod(stage.dir, 0o711) // started as root, nginx serves as someone else
  await mkdir(folder)
  await writeFile(`${folder}/file.bin`, noise(3_000_000))
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/${kind};`)
    .join(' ')
  await writeFile(
    `${folder}/nginx.conf`,
    `daemon off; pid ${folder}/pid; error_log stderr; events {} http { ${places}
  log_format who '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port'; access_log ${folder}/access.log who;
  server { listen ${target} proxy_protocol; listen unix:${socket} proxy_protocol; root ${folder}; set_real_ip_from 127.0.0.1; set_real_ip_from unix:; real_ip_header proxy_protocol;
    location = /who { default_type text/plain; return 200 "$remote_addr $proxy_protocol_server_port $http_pilot_hostname"; } } }`,
  )
  stage.spawn(nginx, ['-p', folder, '-c', `${folder}/nginx.conf`])
  const [host, port] = target.split(':')
  await eventually(
    'nginx accepts',
    () =>
      new Promise<true | undefined>((resolve) => {
        const probe = connect({ host: host!, port: Number(port) }, () => {
          probe.destroy()
          resolve(true)
        })
        probe.on('error', () => resolve(undefined))
      }),
  )
  const exposes = [
    `80=${target},identity=proxy-v1`,
    `81=${target},identity=proxy-v2`,
    `82=unix:${socket},identity=proxy-v1`,
    `83=unix:${socket},identity=proxy-v2`,
    `84=http://${target},identity=headers,identity=proxy-v2`,
  ]
  const { a, b } = await paired([80, 81, 82, 83, 84], exposes)
  const ip = `fd70:696c:6f74::${a.ready.node.nodeId.toString(16)}`
  for (const overlayPort of [80, 81, 82, 83, 84]) {
    const base = `http://${format(a.local(`agent-b:${overlayPort}`))}`
    const { stdout, stderr } = await stage.run(curl, ['-sS', '--noproxy', '*', `${base}/who`])
    assert.equal(stdout, `${ip} ${overlayPort} ${overlayPort === 84 ? 'agent-a' : ''}`, stderr)
    const parts: Buffer[] = []
    const program = stage.spawn(curl, ['-sS', '--noproxy', '*', `${base}/file.bin`], {
      onBytes: (part) => parts.push(part),
    })
    await program.ended()
    assert.equal(summaryOf(Buffer.concat(parts)), summaryOf(noise(3_000_000)))
  }
  const lines = (await readFile(`${folder}/access.log`, 'utf8')).trim().split('\n')
  const own = `fd70:696c:6f74::${b.ready.node.nodeId.toString(16)}`
  assert.deepEqual(
    new Set(lines.map((line) => line.replace(/ \d+ /, ' PORT '))),
    new Set([80, 81, 82, 83, 84].map((overlayPort) => `${ip} PORT ${own} ${overlayPort}`)),
  )
})

test('version 2 carries address, key, hostname and path, and leaves the bytes after it untouched', async () => {
  const service = await serve(stage, (socket) => void socket.pipe(socket))
  const { a, b } = await paired([90], [`90=${service.address},identity=proxy-v2`])
  const sent = noise(500_000)
  await talk(stage, a.local('agent-b:90'), Buffer.from('x')) // may still use the relay
  await eventually(
    'the direct path is in use',
    async () => (await b.peers()).every(({ path }) => path?.kind === 'direct') || undefined,
  )
  const got = await talk(stage, a.local('agent-b:90'), sent)
  const { header, tlvs, rest } = readV2(got)
  assert.equal(header, `fd70696c6f7400000000000000${'0'.repeat(5)}${a.ready.node.nodeId}`)
  assert.deepEqual(tlvs, { 0xe0: a.ready.node.address, 0xe1: a.ready.node.publicKey, 0xe2: 'agent-a', 0xe3: 'direct' })
  assert.equal(summaryOf(rest), summaryOf(sent))
})

test('a client cannot replace our PROXY header with its own', async () => {
  const service = await serve(stage, (socket) => void socket.once('data', (first: Buffer) => socket.end(first)))
  const { a } = await paired([91], [`91=${service.address},identity=proxy-v1`])
  const socket = await open(stage, a.local('agent-b:91'))
  socket.write('PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n')
  assert.match((await everything(socket)).toString(), new RegExp(`^PROXY TCP6 fd70:696c:6f74::${a.ready.node.nodeId} `))
})

test('a service that restarts between two requests is reconnected; one that stays down is a 502 with its code', async () => {
  const backend = await httpBackend(stage)
  const relay = createServer((socket) => {
    // a service on its own port that can be stopped
    const inner = connect(Number(backend.address.split(':')[1]))
    socket.on('error', () => {})
    inner.on('error', () => {})
    sockets.add(socket)
    socket.pipe(inner).pipe(socket)
  })
  const sockets = new Set<{ destroy: () => unknown }>()
  await new Promise<void>((resolve) => {
    relay.listen(0, '127.0.0.1', resolve)
  })
  const port = (relay.address() as { port: number }).port
  const { a, b } = await paired([92], [`92=127.0.0.1:${port},identity=headers`])
  const socket = await open(stage, a.local('agent-b:92'))
  const ask = async (method = 'GET'): Promise<string> => {
    socket.write(`${method} /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAccept: application/json\r\n\r\n`)
    return (await some(socket)).toString()
  }
  assert.match(await ask(), /^HTTP\/1\.1 200 /)
  for (const each of sockets) each.destroy()
  await eventually(
    'the gateway sees the end',
    async () => (await b.cli('whois', '127.0.0.1:1')).code === 5 || undefined,
  )
  assert.match(await ask('POST'), /^HTTP\/1\.1 200 /)
  const closed = new Promise((resolve) => {
    relay.close(resolve)
  })
  for (const each of sockets) each.destroy()
  await closed
  await eventually('no connection is left', async () => /TARGET_UNREACHABLE/.test(await ask()) || undefined)
  assert.match(
    await ask(),
    /^HTTP\/1\.1 502 Bad Gateway\r\n[\s\S]*Pilot-Error: TARGET_UNREACHABLE\r\n[\s\S]*"hint":"The exposed local service/,
  )
})

async function paired(ports: readonly number[], expose: readonly string[]): Promise<Pair> {
  const inner = await Stage.open()
  stage.defer(async () => inner.close())
  return await pair(inner, { map: ports.map((port) => `0:agent-b:${port}`) }, { expose })
}

/** Section 2.2 of the specification: 12 bytes of signature, version and command, family, length; addresses; TLVs. */
function readV2(bytes: Buffer): { header: string; tlvs: Record<number, string>; rest: Buffer } {
  assert.equal(bytes.toString('latin1', 0, 14), '\r\n\r\n\0\r\nQUIT\n\x21\x21')
  const end = 16 + bytes.readUInt16BE(14)
  const tlvs: Record<number, string> = {}
  for (let at = 16 + 36; at < end;) {
    const length = bytes.readUInt16BE(at + 1)
    tlvs[bytes[at]!] = bytes.toString('utf8', at + 3, at + 3 + length)
    at += 3 + length
  }
  return { header: bytes.toString('hex', 16, 32), tlvs, rest: bytes.subarray(end) }
}
