/** The list of commands, their common options, and error reporting. */
import { Command, CommanderError, Option } from 'commander'
import { ERRORS, PilotError, asPilotError } from '../base/errors.ts'
import type { Cli } from './cli.ts'
import { addBench } from './commands/bench.ts'
import { addChange } from './commands/change.ts'
import { addCompletion } from './commands/completion.ts'
import { addConfig } from './commands/config.ts'
import { addDemo } from './commands/demo.ts'
import { addDoctor } from './commands/doctor.ts'
import { addInbox } from './commands/inbox.ts'
import { addInvite } from './commands/invite.ts'
import { addJoin } from './commands/join.ts'
import { addLifecycle } from './commands/lifecycle.ts'
import { addList } from './commands/list.ts'
import { addOutbox } from './commands/outbox.ts'
import { addNc } from './commands/nc.ts'
import { addPing } from './commands/ping.ts'
import { addPubSub } from './commands/pub-sub.ts'
import { addRendezvous } from './commands/rendezvous.ts'
import { addResolve } from './commands/resolve.ts'
import { addSend } from './commands/send.ts'
import { addShare } from './commands/share.ts'
import { addStatus } from './commands/status.ts'
import { addTrust } from './commands/trust.ts'
import { addUp } from './commands/up.ts'
import { addWhois } from './commands/whois.ts'
import { Output, printError, type CommonOptions } from './output.ts'
import { commandHint, optionHint } from './renamed.ts'
import type { World } from './world.ts'

/** @returns The exit code; never rejects. */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  if (argv.length === 0) return await runCli(['--help'], world) // someone who looks around has made no mistake
  const help: string[] = [] // what commander would write to stderr; shown only if a command is missing
  const outcome = { exitCode: 0 }
  const { own, rest } = split(argv)
  const program = createProgram(world, outcome, (text) => void help.push(text), rest)
  try {
    checkHelpTopic(program, own)
    await program.parseAsync([...own], { from: 'user' })
    return outcome.exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0 // --help, --version
    if (error instanceof CommanderError && error.code === 'commander.help' && !wantsJson(argv)) world.err(help.join(''))
    return tellError(
      withCommand(error instanceof CommanderError ? usageError(error, argv) : error, program, argv),
      argv,
      world,
    )
  }
}

/** All commands. @param outcome receives the exit code of the command that runs. */
export function createProgram(
  world: World,
  outcome: { exitCode: number } = { exitCode: 0 },
  writeErr: (text: string) => void = () => {},
  rest?: readonly string[],
): Command {
  const program = new Command('pilotgate')
    .description(
      'A local gateway that joins the Pilot overlay network and bridges it to ordinary TCP, UDP, HTTP and gRPC programs.',
    )
    .version(world.version, '-V, --version', 'print the version')
    .option('--json', 'print JSON, one object per line')
    .option('--no-color', 'print without colours (like NO_COLOR)')
    .option('-q, --quiet', 'print less; log errors only')
    .option('-v, --verbose', 'log more')
    .addOption(
      new Option('--log-format <format>', 'json, text, or auto: text if stderr is a terminal (default auto)').choices([
        'auto',
        'json',
        'text',
      ]),
    )
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: (text) => world.out(text), writeErr })
  const cli: Cli = {
    world,
    program,
    rest,
    add: (parent, usage, summary, examples) =>
      parent
        .command(usage)
        .description(summary)
        .allowExcessArguments(false)
        .addHelpText('after', `\nExample:\n${examples.map((line) => `  $ ${line}`).join('\n')}`),
    action:
      (run) =>
      async (...args) => {
        outcome.exitCode = (await run(new Output(world, program.opts<CommonOptions>()), ...args)) ?? 0
      },
  }
  for (const add of COMMANDS) add(cli)
  return program.addHelpText('after', HELP_END)
}

/** `share` takes a command line after `--`, whatever it looks like. */
function split(argv: readonly string[]): {
  readonly own: readonly string[]
  readonly rest: readonly string[] | undefined
} {
  const end = argv.indexOf('--')
  if (end < 0 || !argv.slice(0, end).includes('share')) return { own: argv, rest: undefined }
  return { own: argv.slice(0, end), rest: argv.slice(end + 1) }
}

/** Prints anything thrown and returns its exit code. The options may not have been parsed yet, so it looks for --json itself. */
export function tellError(error: unknown, argv: readonly string[], world: World): number {
  return printError(asPilotError(error), wantsJson(argv), world)
}

function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json')
}

/** Commander prints the whole help for `help NONSENSE`. @throws PilotError USAGE. */
function checkHelpTopic(program: Command, argv: readonly string[]): void {
  const [first, topic] = argv.filter((word) => !word.startsWith('-'))
  if (first !== 'help' || topic === undefined || commandAt(program, [topic]) !== program) return
  throw new PilotError('USAGE', `no such command: ${topic}`, {}, undefined, commandHint(topic, []))
}

/** The general hint names the command whose usage it is about. */
function withCommand(error: unknown, program: Command, argv: readonly string[]): unknown {
  if (!(error instanceof PilotError) || error.code !== 'USAGE' || error.hint !== ERRORS.USAGE.hint) return error
  const command = commandAt(program, argv)
  const names: string[] = []
  for (let at: Command | null = command; at !== null; at = at.parent) names.unshift(at.name())
  const hint = `\`${names.join(' ')} --help\` shows its usage.`
  return new PilotError('USAGE', error.message, error.details, error.cause, hint)
}

/** The command that these words lead to, as far as they do. */
function commandAt(program: Command, argv: readonly string[]): Command {
  let at = program
  for (const word of argv) at = at.commands.find((child) => child.name() === word) ?? at
  return at
}

function usageError(error: CommanderError, argv: readonly string[]): PilotError {
  if (error.code === 'commander.help') return new PilotError('USAGE', 'a command is missing')
  const message = error.message.replace(/^error: /, '').replace(/\n+/g, ' ')
  const [, what] = /'([^']*)'/.exec(message) ?? []
  const hint =
    what === undefined
      ? undefined
      : error.code === 'commander.unknownCommand'
        ? commandHint(what, argv.slice(argv.indexOf(what) + 1))
        : error.code === 'commander.unknownOption'
          ? optionHint(what, argv.slice(argv.indexOf(what) + 1))
          : undefined
  return new PilotError('USAGE', message, {}, undefined, hint)
}

const COMMANDS: readonly ((cli: Cli) => void)[] = [
  addShare,
  addJoin,
  addUp,
  addChange,
  addRendezvous,
  addDemo,
  addStatus,
  addList,
  addPing,
  addBench,
  addSend,
  addInbox,
  addOutbox,
  addPubSub,
  addNc,
  addWhois,
  addDoctor,
  addResolve,
  addTrust,
  addInvite,
  addConfig,
  addLifecycle,
  addCompletion,
]

const HELP_END = `
Exit codes: 0 done, 1 failed, 2 usage or bad config, 3 no gateway running, 4 not trusted or denied,
            5 peer unreachable, or not found, 6 conflict (port in use, name taken), 124 timed out.

Example:
  $ pilotgate demo                                        everything on one machine, to try it
  $ pilotgate share 3000                                  expose a local port and print a ticket for it …
  $ pilotgate join TICKET 8080                            … which the other side uses to reach it at localhost:8080
  $ pilotgate up --trust agent-b --map 8080:agent-b:80    use a service of agent-b
  $ pilotgate up --trust agent-a --expose 80=3000         expose a service to agent-a`
