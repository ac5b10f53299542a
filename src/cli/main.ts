#!/usr/bin/env node
/** The process: arguments in, exit code out. The only file that ends it. */
import { tuneMemory } from './memory.ts'

const argv = process.argv.slice(2)
if (argv[0] !== 'rendezvous') tuneMemory() // its heap is large and long-lived: marking it in one go would stop it for a second
const { runCli, tellError } = await import('./program.ts') // only now: loading everything would make V8's space for young objects grow
const { realWorld } = await import('./world.ts')
const { FaultLine } = await import('./faults.ts')

let outputLost = false
const loseOutput = (error: unknown): void => {
  // A reader that went away (`pilotgate status | head -1`) has what it wanted; on a full disk the result is lost.
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') outputLost = true
}
process.stdout.on('error', loseOutput)
process.stderr.on('error', () => {})

const faults = new FaultLine()
const world = realWorld(faults, loseOutput)
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    if (error instanceof Error && error.stack !== undefined) world.err(`${error.stack}\n`) // our own bug: show where it is
    if (!faults.take(error)) process.exit(tellError(error, argv, world))
  })
}

const code = await runCli(argv, world)
await Promise.race([Promise.all([flushed(process.stdout), flushed(process.stderr)]), world.sleep(1_000)]) // a stalled reader does not delay us
if (outputLost) world.err('error: could not write the output\n')
process.exit(code === 0 && outputLost ? 1 : code)

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    try {
      stream.write('', () => resolve())
    } catch {
      resolve()
    }
  })
}
