/** Commands that change a running gateway: map, unmap, expose, unexpose, with and without the file; bench, drain, down, completion. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import type { BenchRecord } from '../../src/gateway/model/records.ts'
import { address, eventually, Gateway, pair, Rendezvous, Stage } from './harness.ts'
import type { Pair } from './harness.ts'
import { findProgram, MAIN } from './program.ts'
import { echo, open, some, talk } from './servers.ts'
import type { Service } from './servers.ts'

let stage: Stage
let service: Service
let both: Pair
before(async () => {
  stage = await Stage.open()
  service = await echo(stage)
  both = await pair(stage, {}, { expose: [`80=${service.address}`] })
})
after(async () => stage.close())

test('map and unmap, expose and unexpose change the running gateway, and its events report it', async () => {
  const { a, b } = both
  const exposed = await b.json<{ name: string; port: number }>('expose', `90=${service.address},allow=agent-a`)
  assert.deepEqual([exposed.name, exposed.port], ['90', 90])
  const mapped = await a.json<{ name: string; local: string }>('map', '0:agent-b:90', '--name', 'mine')
  assert.equal(mapped.name, 'mine')
  assert.equal((await talk(stage, address(mapped.local), Buffer.from('hello'))).toString(), 'hello')
  await a.program.event('mapped', ({ name }) => name === 'mine')
  await b.program.event('exposed', ({ name }) => name === '90')
  assert.equal((await a.cli('map', '0:agent-b:90', '--name', 'mine')).code, 6)
  assert.equal((await b.cli('expose', `90=${service.address}`)).code, 6)
  const socket = await open(stage, address(mapped.local))
  socket.write('x')
  await some(socket)
  assert.match((await a.cli('unmap', 'mine')).stdout, /^unmapped /)
  assert.equal((await b.cli('unexpose', '90')).code, 0)
  await b.program.event('unexposed', ({ name }) => name === '90')
  socket.write('y')
  assert.equal((await some(socket)).toString(), 'y', 'open connections continue')
  socket.destroy()
  const missing = await a.cli('unmap', 'mine')
  assert.deepEqual([missing.code, missing.stderr.includes('hint: There are no mappings.')], [5, true], missing.stderr)
  for (const [line, code] of [
    [['map', 'agent-b'], 2],
    [['map', 'agent-b:80', '--save'], 2],
    [['expose', '80='], 2],
    [['expose', '80=3000', '--for', 'soon'], 2],
    [['expose', '80'], 2],
  ] as const)
    assert.equal((await a.cli(...line)).code, code, line.join(' '))
})

test('bench measures the path to a peer with its echo service', async () => {
  const { a, b } = both
  const { nodeId, throughput, roundTrip, setUp, path } = await a.json<BenchRecord>(
    'bench',
    'agent-b',
    '--bytes',
    '3000000',
    '--for',
    '20s',
  )
  assert.deepEqual(
    [nodeId, throughput.bytes, throughput.complete, setUp.count],
    [b.ready.node.nodeId, 3_000_000, true, 5],
  )
  assert.ok(roundTrip.count > 1 && throughput.bitsPerSecond > 0)
  assert.match(path!.kind, /^(direct|lan)$/)
  assert.match(
    (await a.cli('bench', 'agent-b', '--bytes', '1M')).stdout,
    /^agent-b \(node \d+\), .*\nset-up .*\nround trip .*\nthroughput .* 1\.0 MB there and back in /,
  )
  assert.equal((await a.cli('bench', 'agent-nobody')).code, 5)
})

test('--save updates the file and keeps its comments; without it the file is not changed', async () => {
  const { registry, beacon } = both.rendezvous
  const file = stage.path('saved.yaml')
  const text =
    '# ours\nversion: 1\nmap:\n  # the first\n  - { name: one, peer: agent-b, port: 80, local: "127.0.0.1:0" } # stays\n'
  await writeFile(file, text, { mode: 0o640 })
  const gateway = await Gateway.start(stage, { name: 'agent-s', registry, beacon, args: ['-c', file] })
  await gateway.json('map', '127.0.0.1:0:agent-b:81')
  assert.equal(await readFile(file, 'utf8'), text)
  await gateway.json('map', '0:agent-b:82', '--save')
  await gateway.json('expose', `443=${service.address},allow=agent-b`, '--name', 'api', '--save')
  const saved = await readFile(file, 'utf8')
  assert.ok(
    saved.startsWith(
      '# ours\nversion: 1\nmap:\n  # the first\n  - { name: one, peer: agent-b, port: 80, local: "127.0.0.1:0" } # stays\n',
    ),
    saved,
  )
  assert.match(saved, /- \{ peer: agent-b, port: 82, local: 127.0.0.1:0 \}\n/)
  assert.ok(saved.includes(`- { name: api, port: 443, target: tcp://${service.address}, allow: [ agent-b ] }`), saved)
  assert.equal((await stat(file)).mode & 0o777, 0o640)
  assert.equal((await gateway.cli('unmap', 'one', '--save')).code, 0)
  const unsaved = await gateway.cli('unmap', 'agent-b:81', '--save')
  assert.deepEqual([unsaved.code, unsaved.stderr.includes('leave out --save')], [5, true], unsaved.stderr)
  await gateway.restart()
  assert.deepEqual(
    [gateway.ready.mappings.map(({ name }) => name), gateway.ready.exposures.map(({ name }) => name)],
    [['agent-b:82'], ['api']],
    'only the saved entries',
  )
})

test('an edit based on another version of the configuration is a conflict, by command and by PUT', async () => {
  const { a } = both
  const version = (await a.status()).config!.version
  const stale = await a.cli('map', '0:agent-b:80', '--if-version', String(version + 1), '--json')
  assert.deepEqual([stale.code, (JSON.parse(stale.stdout) as { code: string }).code], [6, 'CONFLICT'])
  const entry = { name: 'put', peer: 'agent-b', port: 80, local: '127.0.0.1:0' }
  assert.deepEqual([await put(a, { version: version + 1, map: [entry] }), (await a.mappings()).length], [409, 0])
  assert.equal(await put(a, { version, map: [entry] }), 200)
  assert.deepEqual(
    (await a.mappings()).map(({ name }) => name),
    ['put'],
  )
  assert.equal(await put(a, { version, map: [] }), 409)
  assert.equal(await put(a, { version: version + 1, map: [{ ...entry, colour: 'red' }] }), 400)
  assert.equal(await put(a, { version: version + 1, map: [] }), 200)
  assert.deepEqual(await a.mappings(), [])
})

test('without a running gateway, map and expose run one in the foreground, like `up`', async () => {
  const { registry, beacon } = await Rendezvous.start(stage, stage.path('rendezvous-foreground'))
  const common = (name: string): string[] => [
    '--json',
    '--registry',
    registry,
    '--beacon',
    beacon,
    '--listen',
    '127.0.0.1:0',
    '--hostname',
    name,
    '--state-dir',
    stage.path(name),
  ]
  const y = stage.start(['expose', `80=${service.address}`, '--trust', 'agent-x', ...common('agent-y')])
  const x = stage.start(['map', '0:agent-y:80', '--trust', 'agent-y', ...common('agent-x')])
  const ready = await x.event('ready')
  await y.event('ready')
  await x.event('trust', ({ state }) => state === 'approved')
  const [{ local }] = ready['mappings'] as unknown as [{ local: string }]
  assert.equal((await talk(stage, address(local), Buffer.from('hello'))).toString(), 'hello')
  const second = await stage.pilotgate(['map', '0:agent-y:81', ...common('agent-x')])
  assert.equal(second.code, 0, 'the running gateway is asked')
  assert.match(second.stderr, /a gateway is already running; --registry, --beacon, --listen, --hostname were ignored/)
  assert.equal((await stage.pilotgate(['map', 'agent-y:80', '--save', '--state-dir', stage.path('nobody')])).code, 3)
})

test('drain refuses new connections and waits for open ones; resume accepts them again; a single exposure can be drained', async () => {
  const { a, b } = both
  const { local } = await a.json<{ local: string }>('map', '0:agent-b:80', '--name', 'drained')
  const socket = await open(stage, address(local))
  socket.write('x')
  await some(socket)
  const late = await b.cli('drain', '--exposure', '80', '--timeout', '1')
  assert.deepEqual([late.code, late.stderr.includes('1 connection still open')], [124, true], late.stderr)
  assert.deepEqual(
    (await b.status()).exposures.map(({ draining }) => draining),
    [true],
  )
  await assert.rejects(talk(stage, address(local), Buffer.from('new')))
  assert.equal((await b.status()).state, 'ready')
  await b.json('resume', '--exposure', '80')
  assert.equal((await talk(stage, address(local), Buffer.from('new'))).toString(), 'new')
  const draining = a.cli('drain')
  await eventually('it drains', async () => ((await a.status()).state === 'draining' ? true : undefined))
  await assert.rejects(open(stage, address(local)))
  assert.equal((await a.cli('map', '0:agent-b:81')).code, 1, 'no configuration change while it drains')
  socket.end()
  assert.deepEqual((await draining).code, 0)
  await a.json('resume')
  assert.equal((await a.status()).state, 'ready')
  assert.equal((await talk(stage, address(local), Buffer.from('new'))).toString(), 'new')
  assert.equal((await b.cli('drain', '--exposure', 'nothing')).code, 5)
})

test('down ends the gateway as a signal does, and returns once it has exited', async () => {
  const { registry, beacon } = both.rendezvous
  const gateway = await Gateway.start(stage, { name: 'agent-down', registry, beacon })
  assert.deepEqual(await gateway.json('down'), { state: 'stopped' })
  assert.deepEqual(await gateway.program.ended(1_000), { code: 0, signal: null })
  assert.equal((await gateway.cli('down')).code, 3)
})

test('two gateways with the same state folder or identity conflict, even with different admin sockets; kill -9 leaves no lock', async () => {
  const { registry, beacon } = both.rendezvous
  const gateway = await Gateway.start(stage, { name: 'agent-lock', registry, beacon })
  const up = (...args: readonly string[]): ReturnType<Stage['pilotgate']> =>
    stage.pilotgate(['up', '--json', '--registry', registry, '--beacon', beacon, '--listen', '127.0.0.1:0', ...args])
  for (const args of [
    ['--state-dir', gateway.stateDir, '--admin', stage.path('other.sock')],
    ['--state-dir', stage.path('other'), '--identity', `${gateway.stateDir}/identity.json`],
    ['--state-dir', gateway.stateDir],
  ]) {
    const { code, stdout } = await up(...args)
    assert.deepEqual([code, (JSON.parse(stdout) as { hint: string }).hint.includes('--state-dir')], [6, true], stdout)
  }
  await gateway.restart() // kill -9
  const file = stage.path('a-file')
  await writeFile(file, '')
  const { code, stdout } = await up('--state-dir', file)
  assert.deepEqual([code, /a-file.*is not a folder/.test(stdout)], [2, true], stdout)
})

test('an unanswered trust request is shown and can be withdrawn; an invalid one is refused with a hint', async () => {
  const { a } = both
  await a.json('trust', 'request', 'agent-nobody')
  assert.deepEqual((await a.status()).trustRequests, ['agent-nobody'])
  assert.match((await a.cli('trust', 'list')).stdout, /asked agent-nobody, no answer yet/)
  assert.match((await a.cli('trust', 'revoke', 'agent-nobody')).stdout, /revoked agent-nobody: it was asked/)
  assert.deepEqual((await a.status()).trustRequests, [])
  for (const [words, code, hint] of [
    [['request', 'agent-a'], 2, /hint: Name the peer/],
    [['request', a.ready.node.address], 2, /is this node/],
    [['approve', 'agent-b'], 5, /agent-b is trusted already\nhint: There is nothing to decide/],
    [['approve', 'agent-x'], 5, /hint: `pilotgate trust pending`/],
    [['revoke', 'agent-x'], 5, /hint: `pilotgate trust list`/],
    [['request', 'agent-x', 'y'.repeat(1_025)], 2, /"reason" has 1025 characters/],
  ] as const) {
    const ran = await a.cli('trust', ...words)
    assert.equal(ran.code, code, ran.stderr)
    assert.match(ran.stderr, hint)
  }
})

test('the completion script works in bash', async (t) => {
  const bash = findProgram('bash')
  if (bash === undefined) return t.skip('no bash on this machine')
  const complete = async (line: string): Promise<string[]> => {
    const words = line.split(' ')
    const script = `source <("$0" "$1" completion bash); COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _pilotgate; printf '%s\\n' "\${COMPREPLY[@]}"; complete -p pilotgate >&2`
    const { code, stdout, stderr } = await stage.run(bash, ['-c', script, process.execPath, MAIN])
    assert.deepEqual([code, stderr.trim()], [0, 'complete -o default -F _pilotgate pilotgate'], stderr)
    return stdout.split('\n').filter((word) => word !== '')
  }
  assert.deepEqual(await complete('pilotgate un'), ['unmap', 'unexpose'])
  assert.deepEqual(
    (await complete('pilotgate trust ')).filter((word) => !word.startsWith('-')),
    ['list', 'pending', 'request', 'approve', 'reject', 'revoke'],
  )
  assert.ok((await complete('pilotgate up --st')).includes('--state-dir'))
  assert.deepEqual(await complete('pilotgate config d'), ['diff'])
  assert.deepEqual((await complete('pilotgate completion ')).slice(0, 3), ['bash', 'zsh', 'fish'])
  assert.deepEqual(await complete('pilotgate up --config '), [], 'a file: bash completes those itself')
})

test('the script completes the names that the running gateway has', async (t) => {
  const bash = findProgram('bash')
  if (bash === undefined) return t.skip('no bash on this machine')
  const folder = stage.path('completion-bin')
  await mkdir(folder)
  await writeFile(join(folder, 'pilotgate'), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`, { mode: 0o755 })
  const env = { PATH: `${folder}:${process.env['PATH']}`, PILOTGATE_ADMIN: both.b.admin }
  const { data } = JSON.parse((await both.b.cli('list', 'exposures', '--json')).stdout) as { data: { name: string }[] }
  assert.ok(data.length > 0)
  for (const words of ['unexpose ', 'drain --exposure ']) {
    const list = `pilotgate ${words}`.split(' ').map((word) => `'${word}'`)
    const script = `source <(pilotgate completion bash); COMP_WORDS=(${list.join(' ')}); COMP_CWORD=${list.length - 1}; _pilotgate; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { code, stdout, stderr } = await stage.run(bash, ['-c', script], { env: { ...process.env, ...env } })
    assert.equal(code, 0, stderr)
    for (const { name } of data) assert.ok(stdout.split('\n').includes(name), `${words}: ${stdout}`)
  }
})

for (const [shell, check] of [
  ['zsh', ['-n']],
  ['fish', ['--no-execute']],
] as const) {
  test(`the completion script parses in ${shell}`, async (t) => {
    const { stdout } = await stage.pilotgate(['completion', shell])
    for (const word of ['unexpose', 'rendezvous', 'state-dir']) assert.ok(stdout.includes(word), word)
    const program = findProgram(shell)
    if (program === undefined) return t.skip(`no ${shell} on this machine`)
    const file = stage.path(`completion.${shell}`)
    await writeFile(file, stdout)
    const { code, stderr } = await stage.run(program, [...check, file])
    assert.deepEqual([code, stderr], [0, ''])
  })
}

async function put(gateway: Gateway, body: object): Promise<number> {
  return await new Promise((resolve, reject) => {
    const text = JSON.stringify(body)
    const call = request(
      {
        socketPath: gateway.admin,
        path: '/v1/config',
        method: 'PUT',
        agent: false,
        headers: { 'content-length': Buffer.byteLength(text) },
      },
      (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      },
    )
    call.on('error', reject)
    call.end(text)
  })
}
