/** Unmodified programs on both ends of a mapping. Missing programs are skipped, with the reason. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { Client, credentials, Metadata, Server, ServerCredentials } from '@grpc/grpc-js'
import type { sendUnaryData, ServerDuplexStream, ServerUnaryCall, ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { eventually, format, pair, Stage } from './harness.ts'
import type { Pair } from './harness.ts'
import { findProgram, WAIT_MS } from './program.ts'
import { noise, refusing, summaryOf, talk } from './servers.ts'

let stage: Stage
before(async () => {
  stage = await Stage.open()
})
after(async () => stage.close())

test('psql queries a real PostgreSQL through a mapping, with TCP and a result of several megabytes', async (t) => {
  // initdb in a temporary folder; as root it runs as another user, as PostgreSQL requires.
  const [initdb, postgres, psql] = programs('initdb', 'postgres', 'psql')
  if (initdb === undefined || postgres === undefined || psql === undefined)
    return t.skip(missing('initdb', 'postgres', 'psql'))
  const target = await refusing() // a free port
  const user = await startPostgres(initdb, postgres, target)
  const { a } = await mapped('5432', target)
  const { host, port } = a.local('agent-b:5432')
  const query = async (sql: string): Promise<string> => {
    const { code, stdout, stderr } = await stage.run(
      psql,
      ['-X', '-A', '-t', '-h', host, '-p', String(port), '-U', user, '-d', 'postgres', '-c', sql],
      { env: { PGCONNECT_TIMEOUT: '5', PGSSLMODE: 'disable' } },
    )
    assert.equal(code, 0, stderr)
    return stdout.trim()
  }
  assert.equal(await query('select 6 * 7'), '42')
  await query('create table numbers as select n, md5(n::text) as digest from generate_series(1, 50000) as n')
  const rows = (await query('select n, digest from numbers order by n')).split('\n')
  assert.equal(rows.length, 50_000)
  assert.equal(rows[49_999], '50000|1017bfd4673955ffee4641ad3d481b1c')
  const pgbench = findProgram('pgbench')
  if (pgbench === undefined) return t.diagnostic(missing('pgbench'))
  const bench = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await stage.run(
      pgbench,
      ['-h', host, '-p', String(port), '-U', user, ...args, 'postgres'],
      { env: { PGSSLMODE: 'disable' }, timeoutMs: 60_000 },
    )
    assert.equal(code, 0, stderr)
    return stdout
  }
  await bench('-i', '-q')
  assert.match(await bench('-c', '4', '-t', '50'), /number of transactions actually processed: 200\/200/)
})

test('redis-cli talks to a redis-server through a mapping, also pipelined', async (t) => {
  const [server, client] = programs('redis-server', 'redis-cli')
  if (server === undefined || client === undefined) return t.skip(missing('redis-server', 'redis-cli'))
  const target = await refusing()
  stage.spawn(server, ['--port', target.split(':')[1]!, '--bind', '127.0.0.1', '--save', '', '--dir', stage.dir])
  await accepts(target)
  const { a } = await mapped('6379', target)
  const { host, port } = a.local('agent-b:6379')
  const redis = async (...args: string[]): Promise<string> =>
    (await stage.run(client, ['-h', host, '-p', String(port), ...args])).stdout.trim()
  assert.equal(await redis('set', 'key', 'value'), 'OK')
  assert.equal(await redis('get', 'key'), 'value')
  assert.match(await redis('-r', '1000', 'incr', 'counter'), /(^|\n)(\(integer\) )?1000$/)
  const bench = findProgram('redis-benchmark')
  if (bench === undefined) return t.diagnostic(missing('redis-benchmark'))
  const { code, stdout } = await stage.run(
    bench,
    ['-h', host, '-p', String(port), '-t', 'set,get', '-n', '5000', '-c', '20', '-P', '8', '-q'],
    { timeoutMs: 60_000 },
  )
  assert.equal(code, 0)
  assert.match(stdout, /SET: [\d.]+ requests per second[^]*GET: [\d.]+ requests per second/)
})

test('nginx serves a file to curl through a mapping', async (t) => {
  const [nginx, curl] = programs('nginx', 'curl')
  if (nginx === undefined || curl === undefined) return t.skip(missing('nginx', 'curl'))
  const target = await refusing()
  const folder = stage.path('nginx')
  await chmod(stage.dir, 0o711) // started as root, nginx serves as someone else
  await mkdir(folder)
  await writeFile(`${folder}/file.bin`, noise(5_000_000))
  await writeFile(
    `${folder}/nginx.conf`,
    `daemon off; pid ${folder}/pid; error_log stderr; events {} http { access_log off; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e; server { listen ${target}; root ${folder}; } }`,
  )
  stage.spawn(nginx, ['-p', folder, '-c', `${folder}/nginx.conf`])
  await accepts(target)
  const { a } = await mapped('80', target)
  const parts: Buffer[] = []
  const program = stage.spawn(
    curl,
    ['--silent', '--show-error', '--fail', '--noproxy', '*', `http://${format(a.local('agent-b:80'))}/file.bin`],
    { onBytes: (part) => parts.push(part) },
  )
  assert.deepEqual(await program.ended(), { code: 0, signal: null }, program.stderr)
  assert.equal(summaryOf(Buffer.concat(parts)), summaryOf(noise(5_000_000)))
})

test('a gRPC client calls a gRPC server through two gateways: unary, and both ways at once', async () => {
  // @grpc/grpc-js on both ends, with messages loaded from a .proto file by @grpc/proto-loader; 200 calls share one
  // connection.
  const service = await loadEcho()
  const server = new Server()
  server.addService(service, { Say: say, Chat: chat })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  stage.defer(async () => server.forceShutdown())
  const { a } = await mapped('50051', `h2c://127.0.0.1:${port}`)
  const client = new Client(format(a.local('agent-b:50051')), credentials.createInsecure(), {
    'grpc.enable_http_proxy': 0,
  })
  stage.defer(async () => client.close())
  const calls = Array.from({ length: 200 }, (_, index) =>
    sayOnce(client, service, `call ${index} ${'x'.repeat(index * 50)}`),
  )
  assert.deepEqual(
    await Promise.all(calls),
    Array.from({ length: 200 }, (_, index) => `you said call ${index} ${'x'.repeat(index * 50)}`),
  )
  const texts = Array.from({ length: 100 }, (_, index) => `message ${index}`)
  assert.deepEqual(
    await chatAll(client, service, texts),
    texts.map((text) => `echo ${text}`),
  )
})

test('a service on a Unix socket is reached like any other', async () => {
  const path = stage.path('service.sock')
  const server = createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket)).listen(path)
  await new Promise((resolve) => {
    server.once('listening', resolve)
  })
  stage.defer(async () => {
    server.close()
  })
  const { a } = await mapped('90', `unix:${path}`)
  const sent = noise(1_000_000)
  assert.equal(summaryOf(await talk(stage, a.local('agent-b:90'), sent)), summaryOf(sent))
})

function programs(...names: readonly string[]): (string | undefined)[] {
  return names.map(findProgram)
}

function missing(...names: readonly string[]): string {
  return `not installed: ${names.filter((name) => findProgram(name) === undefined).join(', ')}`
}

/** A pair with its own rendezvous; agent-a maps the one port that agent-b exposes. */
async function mapped(port: string, target: string): Promise<Pair> {
  const inner = await Stage.open()
  stage.defer(async () => inner.close())
  return await pair(inner, { map: [`0:agent-b:${port}`] }, { expose: [`${port}=${target}`] })
}

/** @returns the database user. */
async function startPostgres(initdb: string, postgres: string, target: string): Promise<string> {
  const data = stage.path('postgres')
  const uid = process.getuid?.() === 0 ? NOBODY : undefined
  await mkdir(data, { mode: 0o700 })
  await chmod(stage.dir, 0o711)
  if (uid !== undefined) await chown(data, uid, uid)
  const options = { cwd: data, env: { HOME: data, TMPDIR: data, LC_ALL: 'C' }, uid }
  const made = await stage.run(initdb, ['-D', data, '-U', 'tester', '-A', 'trust', '-N', '--no-instructions'], {
    ...options,
    timeoutMs: 60_000,
  })
  assert.equal(made.code, 0, made.stdout + made.stderr)
  const [, port] = target.split(':')
  const server = stage.spawn(
    postgres,
    ['-D', data, '-p', port!, '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'fsync=off'],
    options,
  )
  await server.until(
    () => server.stderr.includes('ready to accept connections') || undefined,
    'that it accepts connections',
    30_000,
  )
  return 'tester'
}

async function accepts(target: string): Promise<void> {
  const [host, port] = target.split(':')
  await eventually(
    `${target} accepts`,
    () =>
      new Promise<true | undefined>((resolve) => {
        const socket = connect({ host: host!, port: Number(port) }, () => {
          socket.destroy()
          resolve(true)
        })
        socket.on('error', () => resolve(undefined))
      }),
  )
}

interface Text {
  readonly text: string
}

async function loadEcho(): Promise<ServiceDefinition> {
  const file = stage.path('echo.proto')
  await writeFile(
    file,
    'syntax = "proto3"; package test; message Text { string text = 1; } service Echo { rpc Say (Text) returns (Text); rpc Chat (stream Text) returns (stream Text); }',
  )
  return loadSync(file)['test.Echo'] as ServiceDefinition
}

function say(call: ServerUnaryCall<Text, Text>, reply: sendUnaryData<Text>): void {
  reply(null, { text: `you said ${call.request.text}` })
}

function chat(call: ServerDuplexStream<Text, Text>): void {
  call.on('data', ({ text }: Text) => call.write({ text: `echo ${text}` }))
  call.on('end', () => call.end())
}

function sayOnce(client: Client, service: ServiceDefinition, text: string): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = service['Say']!
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest<Text, Text>(
      path,
      requestSerialize,
      responseDeserialize,
      { text },
      new Metadata(),
      { deadline: Date.now() + WAIT_MS },
      (error, reply) => (error === null ? resolve(reply!.text) : reject(error)),
    )
  })
}

/** One text, then its echo, then the next: the directions really alternate. */
function chatAll(client: Client, service: ServiceDefinition, texts: readonly string[]): Promise<string[]> {
  const { path, requestSerialize, responseDeserialize } = service['Chat']!
  const stream = client.makeBidiStreamRequest<Text, Text>(path, requestSerialize, responseDeserialize, new Metadata(), {
    deadline: Date.now() + WAIT_MS,
  })
  return new Promise((resolve, reject) => {
    const replies: string[] = []
    const next = (): void => {
      const text = texts[replies.length]
      if (text === undefined) stream.end()
      else stream.write({ text })
    }
    stream.on('data', ({ text }: Text) => {
      replies.push(text)
      next()
    })
    stream.on('error', reject)
    stream.on('end', () => resolve(replies))
    next()
  })
}

/** An account that owns nothing; PostgreSQL only insists that it is not root. */
const NOBODY = 65_534
