#!/usr/bin/env node
/** The process: arguments in, exit code out. The only file that ends it. */
import { tuneMemory } from './memory.ts'

tuneMemory()
const { runCli, tellError } = await import('./program.ts') // only now: to load all of it would make V8's space of young objects large
const { realWorld } = await import('./world.ts')

// A reader that went away (`pilotgate status | head -1`) is no reason to crash, nor to stop a running gateway.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

const argv = process.argv.slice(2)
const world = realWorld()
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    if (error instanceof Error && error.stack !== undefined) world.err(`${error.stack}\n`) // our own bug: where it is
    process.exit(tellError(error, argv, world))
  })
}

const code = await runCli(argv, world)
await Promise.race([Promise.all([flushed(process.stdout), flushed(process.stderr)]), world.sleep(1_000)]) // a stalled reader does not keep us
process.exit(code)

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve())
  })
}
