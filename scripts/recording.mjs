/**
 * node scripts/recording.mjs: writes docs/recording.svg, what two terminals show while a service is shared. It is a real run on this
 * machine: a sample service, `pilotgate share`, `pilotgate join` and curl, each in a terminal of 74 columns (`script` of util-linux).
 * Run it after a change of what these commands print.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROOT, ScriptError, build, install, script } from './lib.mjs'

const COLUMNS = 74
const MAIN = join(ROOT, 'dist/cli/main.js')

async function record() {
  await install()
  await build()
  const folder = mkdtempSync(join(tmpdir(), 'pilotgate-recording-'))
  const service = createServer((_, response) => response.end('Hello from your machine\n'))
  await new Promise((resolve, reject) => service.once('error', reject).listen(3000, '127.0.0.1', resolve))
  const running = []
  const open = (name, args) => {
    const terminal = new Terminal(name, args, join(folder, name))
    running.push(terminal)
    return terminal
  }
  try {
    const atHome = (text) =>
      text
        .replaceAll(`${folder}/share`, '~/.local/state/pilotgate')
        .replaceAll(`${folder}/join`, '~/.local/state/pilotgate')
    const share = open('share', ['share', '3000'])
    const ticket = await share.until(/pgt1_\S+/)
    await pause(SETTLE_MS)
    const join8080 = open('join', ['join', ticket, '8080'])
    await join8080.until(/8080/)
    await pause(SETTLE_MS)
    const url = /http:\/\/\S+:8080\//.exec(join8080.text)?.[0] ?? 'http://localhost:8080/'
    const answer = await (await fetch(url)).text()
    await pause(SETTLE_MS)
    const frames = [
      { title: 'your machine', command: 'pilotgate share 3000', text: atHome(share.text) },
      {
        title: "your colleague's machine",
        command: `pilotgate join ${shortened(ticket)} 8080`,
        text: atHome(join8080.text),
        after: { command: `curl ${url}`, text: answer },
      },
    ]
    writeFileSync(join(ROOT, 'docs/recording.svg'), drawn(frames, ticket))
  } finally {
    for (const terminal of running) await terminal.end()
    service.close()
    service.closeAllConnections()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** One command in a terminal of its own, with a state folder of its own. */
class Terminal {
  text = ''
  #child
  #ended

  constructor(name, args, stateDir) {
    const command = `stty columns ${COLUMNS}; exec ${[process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ')}`
    this.#child = spawn('script', ['-qefc', command, '/dev/null'], {
      cwd: ROOT,
      env: { ...process.env, PILOTGATE_STATE_DIR: stateDir, NO_COLOR: '1', TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.once('error', (error) => {
      throw new ScriptError(`${name}: ${error.message}`)
    })
    this.#child.stdout.setEncoding('utf8').on('data', (part) => {
      this.text += part
    })
  }

  async until(pattern) {
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const found = pattern.exec(this.text)
      if (found !== null) return found[0]
      if (Date.now() > deadline) throw new ScriptError(`${pattern} did not appear:\n${this.text}`)
      await pause(50)
    }
  }

  /** Ctrl+C, as at a terminal. */
  async end() {
    this.#child.stdin.write('\u0003')
    await Promise.race([this.#ended, pause(PATIENCE_MS)])
    this.#child.kill('SIGKILL')
  }
}

/** The terminals one below the other; what a command prints appears shortly after it was typed. */
export function drawn(frames, ticket = '') {
  let [top, delay] = [0, 0.5]
  const windows = frames.map((frame) => {
    const lines = []
    for (const { command, text } of [frame, ...(frame.after === undefined ? [] : [frame.after])]) {
      lines.push({ text: `$ ${command}`, kind: 'typed', at: delay })
      delay += TYPING_S
      for (const line of linesOf(text, ticket)) lines.push({ text: line, kind: 'shown', at: (delay += LINE_S) })
      delay += READING_S
    }
    const height = HEAD_PX + lines.length * LINE_PX + 14
    const body = lines.map(
      ({ text, kind, at }, index) =>
        `<text class="${kind}" style="animation-delay:${at.toFixed(2)}s" x="18" y="${HEAD_PX + 14 + index * LINE_PX}" xml:space="preserve">${escaped(text)}</text>`,
    )
    const window = `<g transform="translate(0 ${top})"><rect class="window" width="${WIDTH_PX}" height="${height}" rx="10"/><text class="title" x="18" y="21">${escaped(frame.title)}</text>${body.join('')}</g>`
    top += height + 14
    return window
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH_PX} ${top - 14}" role="img" aria-labelledby="t"><title id="t">Two terminals: one shares port 3000 and prints a ticket, the other uses the ticket and reaches the service at its own port 8080</title>
<style>${STYLE}</style>
${windows.join('\n')}
</svg>
`
}

/** As a terminal shows them: without control sequences, long lines broken, the ticket shortened. */
function linesOf(text, ticket) {
  // eslint-disable-next-line no-control-regex
  const plain = text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replace(/[^\n]*\r(?!\n)/g, '')
  const short = ticket === '' ? plain : plain.replaceAll(ticket, shortened(ticket))
  const lines = short.replaceAll('\r', '').trimEnd().split('\n')
  return lines
    .filter((line, index) => line !== '' || lines[index - 1] !== '')
    .flatMap((line) => line.match(new RegExp(`.{1,${COLUMNS}}`, 'g')) ?? [''])
}

function shortened(ticket) {
  return `${ticket.slice(0, 14)}…`
}

function escaped(text) {
  return text.replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`)
}

function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

const SETTLE_MS = 1_500
const PATIENCE_MS = 30_000
const TYPING_S = 0.9
const LINE_S = 0.12
const READING_S = 1.2
const WIDTH_PX = 680
const HEAD_PX = 40
const LINE_PX = 19
const STYLE = `
text { font: 13.5px ui-monospace, "SF Mono", Menlo, Consolas, monospace; fill: #e7eaf0; }
.window { fill: #11141a; stroke: #2b323e; }
.title { font: 600 12px system-ui, sans-serif; fill: #9aa4b4; }
.typed, .shown { opacity: 0; animation: show .15s forwards; }
.typed { fill: #8aa2ff; }
@keyframes show { to { opacity: 1; } }
@media (prefers-reduced-motion: reduce) { .typed, .shown { opacity: 1; animation: none; } }
`

if (process.argv[1] === fileURLToPath(import.meta.url)) await script(record)
