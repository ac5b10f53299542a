/** The list of commands, the options that all of them take, and what becomes of an error. */
import { Command, CommanderError } from 'commander'
import { PilotError, asPilotError } from '../base/errors.ts'
import type { Cli } from './cli.ts'
import { addBench } from './commands/bench.ts'
import { addChange } from './commands/change.ts'
import { addCompletion } from './commands/completion.ts'
import { addConfig } from './commands/config.ts'
import { addConnections } from './commands/connections.ts'
import { addDemo } from './commands/demo.ts'
import { addDoctor } from './commands/doctor.ts'
import { addExplain } from './commands/explain.ts'
import { addExposes } from './commands/exposes.ts'
import { addInvite } from './commands/invite.ts'
import { addLifecycle } from './commands/lifecycle.ts'
import { addMappings } from './commands/mappings.ts'
import { addPeers } from './commands/peers.ts'
import { addPing } from './commands/ping.ts'
import { addRendezvous } from './commands/rendezvous.ts'
import { addResolve } from './commands/resolve.ts'
import { addStatus } from './commands/status.ts'
import { addTrust } from './commands/trust.ts'
import { addUp } from './commands/up.ts'
import { addWhois } from './commands/whois.ts'
import { Output, printError, type CommonOptions } from './output.ts'
import type { World } from './world.ts'

/** @returns The exit code; never rejects. */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  const help: string[] = [] // what commander would write to stderr; shown only when a command is missing
  let exitCode = 0
  const program = new Command('pilotgate')
    .description('A local gateway that joins the Pilot overlay and bridges it to ordinary TCP, HTTP and gRPC software.')
    .version(world.version, '-V, --version', 'print the version')
    .option('--json', 'print JSON, one object a line')
    .option('--no-color', 'print without colours (as does NO_COLOR)')
    .option('-q, --quiet', 'print less; log errors only')
    .option('-v, --verbose', 'log more')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: (text) => world.out(text), writeErr: (text) => void help.push(text) })
  const cli: Cli = {
    world,
    program,
    add: (parent, usage, summary, examples) =>
      parent
        .command(usage)
        .description(summary)
        .allowExcessArguments(false)
        .addHelpText('after', `\nExample:\n${examples.map((line) => `  $ ${line}`).join('\n')}`),
    action:
      (run) =>
      async (...args) => {
        exitCode = (await run(new Output(world, program.opts<CommonOptions>()), ...args)) ?? 0
      },
  }
  for (const add of COMMANDS) add(cli)
  program.addHelpText('after', HELP_END)
  try {
    await program.parseAsync(lanApart(argv), { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0 // --help, --version
    if (error instanceof CommanderError && error.code === 'commander.help' && !wantsJson(argv)) world.err(help.join(''))
    return tellError(error instanceof CommanderError ? usageError(error) : error, argv, world)
  }
}

/** The value of `--lan` is optional: what follows it and is a port, or a whole spec, is the argument of the command. */
function lanApart(argv: readonly string[]): string[] {
  return argv.map((word, index) => (word === '--lan' && /^\d{1,5}$|=/.test(argv[index + 1] ?? '') ? '--lan=' : word))
}

/** Prints any thrown thing and returns its exit code. The options may not have been read yet: it looks itself. */
export function tellError(error: unknown, argv: readonly string[], world: World): number {
  return printError(asPilotError(error), wantsJson(argv), world)
}

function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json')
}

function usageError(error: CommanderError): PilotError {
  if (error.code === 'commander.help') return new PilotError('USAGE', 'a command is missing')
  return new PilotError('USAGE', error.message.replace(/^error: /, '').replace(/\n+/g, ' '))
}

const COMMANDS: readonly ((cli: Cli) => void)[] = [
  addUp,
  addChange,
  addRendezvous,
  addDemo,
  addStatus,
  addPeers,
  addConnections,
  addMappings,
  addExposes,
  addPing,
  addBench,
  addWhois,
  addDoctor,
  addExplain,
  addResolve,
  addTrust,
  addInvite,
  addConfig,
  addLifecycle,
  addCompletion,
]

const HELP_END = `
Exit codes: 0 done, 1 failed, 2 usage or bad config, 3 no gateway running, 4 not trusted or denied,
            5 peer unreachable, 6 conflict (port in use, name taken), 124 timed out.

Example:
  $ pilotgate demo                                        everything on one machine, to try
  $ pilotgate expose 3000                                 offer a port and print a ticket for it …
  $ pilotgate map TICKET                                  … which is all that the other side needs
  $ pilotgate up --trust agent-b --map 8080:agent-b:80    use a service of agent-b
  $ pilotgate up --trust agent-a --expose 80=3000         offer one to agent-a`
