/**
 * `pilotgate doctor [TARGET]`: diagnoses the connection of this machine to its peers, or to one target, and says what
 * to do.
 */
import { ERRORS, PilotError } from '../../base/errors.ts'
import type { Flags } from '../../config/flags.ts'
import type { DoctorCheck, DoctorRecord, ExplainRecord, ExplainStep } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import { readOptions } from '../serve.ts'
import type { World } from '../world.ts'
import { withOptions } from './options.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

interface DoctorOptions extends ReaderOptions, Pick<Flags, 'registry' | 'registryFingerprint' | 'beacon' | 'listen'> {
  readonly config?: string
}

export function addDoctor(cli: Cli): void {
  const command = withAdmin(
    cli.add(
      cli.program,
      'doctor [target]',
      'check the connection to the rendezvous and the NAT, or each step towards a target (PEER, PEER:PORT, or a mapping)',
      [
        'pilotgate doctor',
        'pilotgate doctor agent-b:80',
        'pilotgate doctor 127.0.0.1:8080',
        'pilotgate doctor --registry rv.example:9000 --beacon rv.example:9001',
      ],
    ),
  ).optionsGroup('If no gateway is running, check with:')
  withOptions(command, ['config', 'registry', 'registryFingerprint', 'beacon', 'listen']).action(
    cli.action(async (out, target: string | undefined, options: DoctorOptions) => {
      if (target !== undefined) {
        const record = await clientOf(options, cli.world).explain(target)
        out.result(record, explainLines(record, out))
        return record.code === null ? 0 : ERRORS[record.code].exit
      }
      const record = await doctor(cli.world, options)
      out.result(record, doctorLines(record, out))
      return record.healthy ? 0 : 1
    }),
  )
}

async function doctor(world: World, options: DoctorOptions): Promise<DoctorRecord> {
  try {
    return await clientOf(options, world).doctor()
  } catch (error) {
    if (!(error instanceof PilotError) || error.code !== 'NOT_RUNNING') throw error
  }
  const { config, registry, registryFingerprint, beacon, listen } = options
  const flags = {
    ...(registry !== undefined && { registry }),
    ...(registryFingerprint !== undefined && { registryFingerprint }),
    ...(beacon !== undefined && { beacon }),
    ...(listen !== undefined && { listen }),
  }
  const wanted = await readOptions({ ...flags, ...(config !== undefined && { config }) }, world)
  const { checkUp } = await world.modules.checkUp()
  return await checkUp(wanted)
}

export function doctorLines(record: DoctorRecord, out: Pick<Output, 'good' | 'bad' | 'bold'>): string[] {
  const mark = ({ state }: DoctorCheck): string =>
    state === 'ok' ? out.good('ok  ') : state === 'warn' ? out.bold('note') : out.bad('FAIL')
  const width = Math.max(...record.checks.map(({ name }) => name.length))
  return [
    ...record.checks.flatMap((check) => [
      `${mark(check)}  ${check.name.padEnd(width)}  ${check.text}`,
      ...(check.hint === undefined ? [] : [`      ${' '.repeat(width)}  → ${check.hint}`]),
    ]),
    record.healthy ? out.good('no problem found') : out.bad('problem found: see FAIL above'),
  ]
}

function explainLines(record: ExplainRecord, out: Output): string[] {
  const mark = (state: ExplainStep['state']): string =>
    state === 'ok' ? out.good('ok  ') : state === 'fail' ? out.bad('FAIL') : out.dim('-   ')
  const lines = ({ steps }: ExplainRecord): string[] =>
    steps.flatMap(({ step, state, text, hint }) => [
      `${mark(state)}  ${step.padEnd(7)}  ${text}`,
      ...(hint === undefined ? [] : [`               → ${hint}`]),
    ])
  return [
    ...lines(record),
    ...(record.others ?? []).flatMap((other) => [
      `also ${other.peer}: ${other.reachable ? 'reachable' : `unreachable, ${other.code ?? ''}`}`,
      ...lines(other).map((line) => `  ${line}`),
    ]),
    record.reachable
      ? out.good(`${record.target} is reachable`)
      : out.bad(`${record.target} is unreachable: ${record.code ?? ''}`),
  ]
}
