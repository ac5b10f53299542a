/**
 * The package as users get it: packed, unpacked into a separate project whose other packages link to ours (no package
 * registry is contacted), used from plain JavaScript and from TypeScript, and containing everything its README links
 * to.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { Stage } from './harness.ts'

const ROOT = join(fileURLToPath(import.meta.url), '../../..')
const run = promisify(execFile)
let stage: Stage
let installed: string
let lean: Stage // the same without optional packages

before(async () => {
  stage = await Stage.open()
  const { stdout } = await run('npm', ['pack', '--offline', '--silent', '--pack-destination', stage.dir], {
    cwd: ROOT,
    timeout: 60_000,
  })
  installed = stage.path('node_modules/pilotgate')
  mkdirSync(installed, { recursive: true })
  await run('tar', ['-xzf', stage.path(stdout.trim()), '--strip-components=1', '-C', installed])
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
    peerDependencies: Record<string, string>
  }
  link(stage, [...Object.keys(dependencies), ...Object.keys(peerDependencies), '@types/node'])
  lean = await Stage.open()
  cpSync(installed, lean.path('node_modules/pilotgate'), { recursive: true })
  link(lean, Object.keys(dependencies))
  writeFileSync(stage.path('package.json'), '{"type":"module"}')
})

after(async () => {
  await lean.close()
  await stage.close()
})

test('the package holds every file that its README links to, and neither sources nor tests', () => {
  const links = [...readFileSync(join(installed, 'README.md'), 'utf8').matchAll(/\]\((?!https?:)([^)#]+)/g)].map(
    (match) => match[1]!,
  )
  assert.ok(links.length > 5, 'no links found')
  assert.deepEqual(
    links.filter((link) => !existsSync(join(installed, link))),
    [],
  )
  assert.deepEqual(
    readdirSync(installed).filter((name) => ['src', 'test', 'scripts', 'node_modules'].includes(name)),
    [],
  )
  assert.deepEqual(
    readdirSync(join(installed, 'bench')),
    ['README.md', 'results'],
    "only the benchmark's results; npm adds the page",
  )
})

test('the package is small: about fifty files of program, and types that lead to no other package', () => {
  const files = readdirSync(join(installed, 'dist'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.node')) // the native port, if it was built here
    .map((entry) => join(entry.parentPath, entry.name))
  const programs = files.filter((file) => file.endsWith('.js'))
  const types = files.filter((file) => file.endsWith('.d.ts'))
  assert.equal(programs.length + types.length, files.length)
  assert.ok(programs.length > 10 && programs.length <= 80, `${programs.length} programs`)
  assert.ok(types.length > 10 && types.length <= 100, `${types.length} declarations`)
  for (const file of types)
    for (const [line, from] of readFileSync(file, 'utf8').matchAll(/^(?:import|export) .*from '([^.][^']*)'/gm))
      assert.match(from!, /^node:/, `${file}: ${line}`)
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0)
  assert.ok(bytes < 3_000_000, `${bytes} bytes`) // a browser or a compiler once got in elsewhere
})

test('plain JavaScript creates an overlay, dials over it, and tells errors apart by class', async () => {
  writeFileSync(
    stage.path('app.js'),
    `
    import { PilotAgent, PilotError, serveHttp } from 'pilotgate'
    import { testnet } from 'pilotgate/testing'
    import http from 'node:http'
    const net = await testnet()
    await serveHttp(net.nodes[1], 80, http.createServer((request, response) => response.end('served')))
    const agent = new PilotAgent(net.nodes[0])
    await new Promise((resolve) => http.get('http://agent-2.pilot/', { agent }, (response) => response.on('data', (part) => console.log(String(part))).on('end', resolve)))
    await net.nodes[0].dial('agent-2:81').catch((error) => console.log(error instanceof PilotError, error.code))
    agent.destroy()
    await net.stop()
  `,
  )
  const { stdout } = await run(process.execPath, ['app.js'], { cwd: stage.dir, timeout: 30_000, killSignal: 'SIGKILL' })
  assert.equal(stdout, 'served\ntrue CONNECTION_REFUSED\n')
})

test('every block in docs/api.md is a complete program that runs', async () => {
  const blocks = blocksOf(readFileSync(join(installed, 'docs/api.md'), 'utf8'))
  assert.ok(blocks.length >= 7, `${blocks.length} blocks found`)
  for (const [index, block] of blocks.entries()) {
    writeFileSync(stage.path(`block-${index}.ts`), block)
    const loader = String(pathToFileURL(join(ROOT, 'node_modules/tsx/dist/loader.mjs')))
    const { stdout } = await run(process.execPath, ['--import', loader, `block-${index}.ts`], {
      cwd: stage.dir,
      timeout: 30_000,
      killSignal: 'SIGKILL',
    })
    assert.notEqual(stdout, '', block)
  }
})

test('the examples and the blocks in docs/api.md type-check against the published types in the strictest mode', async () => {
  cpSync(join(ROOT, 'examples'), stage.path('examples'), { recursive: true })
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    skipLibCheck: false,
  }
  writeFileSync(stage.path('tsconfig.json'), JSON.stringify({ compilerOptions, include: ['examples', '*.ts'] }))
  const check = async (): Promise<string> =>
    await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: stage.dir, timeout: 60_000 }).then(
      () => '',
      (error: { stdout: string }) => error.stdout,
    )
  assert.equal(await check(), '')
  writeFileSync(stage.path('wrong.ts'), `import { createNode } from 'pilotgate'\nawait createNode({ registry: 5 })\n`)
  assert.match(await check(), /^wrong\.ts\(2,\d+\): error TS/) // so the types really are checked
})

test('a program that uses neither gRPC nor zod reads only our own types', async () => {
  writeFileSync(lean.path('package.json'), '{"type":"module"}')
  writeFileSync(
    lean.path('app.ts'),
    `import { createGateway, serveGrpc } from 'pilotgate'\nimport { testnet } from 'pilotgate/testing'\nconsole.log(createGateway, serveGrpc, testnet)\n`,
  )
  link(lean, ['@types/node', 'undici-types'])
  const flags = ['--module', 'nodenext', '--target', 'es2023', '--strict', '--types', 'node', '--noEmit', '--listFiles']
  const { stdout } = await run(join(ROOT, 'node_modules/.bin/tsc'), [...flags, '--skipLibCheck', 'false', 'app.ts'], {
    cwd: lean.dir,
    timeout: 60_000,
  })
  const read = stdout.split('\n').filter((file) => file.includes('/node_modules/'))
  assert.ok(
    read.some((file) => file.endsWith('/pilotgate/dist/index.d.ts')),
    stdout,
  )
  assert.deepEqual(
    read.filter((file) => !/node_modules\/(pilotgate|@types\/node|undici-types|@?typescript)\//.test(file)),
    [],
  )
})

test('the packaged program runs', async () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
  const { stdout } = await run(process.execPath, [join(installed, 'dist/cli/main.js'), '--version'], {
    cwd: stage.dir,
    timeout: 30_000,
  })
  assert.equal(stdout.trim(), version)
})

test('without gRPC the demo runs and says what it skips', async () => {
  const main = lean.path('node_modules/pilotgate/dist/cli/main.js')
  const options = { cwd: lean.dir, timeout: 40_000, env: { ...process.env, HOME: lean.dir } }
  const { stdout } = await run(process.execPath, [main, 'demo', '--check'], options)
  assert.match(stdout, /^all 3 checks passed$/m)
  assert.match(stdout, /^gRPC was not checked: the package @grpc\/grpc-js is not installed$/m)
})

test('without lmdb a rendezvous keeps a journal; given a folder written by lmdb, it names the package to install', async () => {
  const args = ['rendezvous', '--registry', '127.0.0.1:0', '--beacon', '127.0.0.1:0', '--json', '--store']
  const main = lean.path('node_modules/pilotgate/dist/cli/main.js')
  const rendezvous = lean.spawn(process.execPath, [main, ...args, 'new'], { label: 'rendezvous' })
  await rendezvous.event('ready')
  assert.ok(existsSync(lean.path('new/journal')))
  mkdirSync(lean.path('old'))
  writeFileSync(lean.path('old/data.mdb'), '')
  const { code, stdout } = await lean.run(process.execPath, [main, ...args, 'old'])
  assert.equal(code, 1)
  const error = JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, string>
  assert.equal(error['code'], 'FAILED')
  assert.match(error['message']!, /needs the package lmdb/)
  assert.match(error['hint']!, /npm install lmdb/)
})

/** Our packages, as npm would have installed them into a project. */
function link(project: Stage, names: readonly string[]): void {
  for (const name of names) {
    const target = project.path('node_modules', name)
    mkdirSync(dirname(target), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules', name), target)
  }
}

function blocksOf(markdown: string): string[] {
  return [...markdown.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1]!)
}
