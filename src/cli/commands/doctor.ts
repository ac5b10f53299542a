/** `pilotgate doctor`: what stands between this machine and its peers, and what to do about it. */
import { PilotError } from '../../base/errors.ts'
import { loadConfig } from '../../config/load.ts'
import { resolveOptions, type Flags } from '../../config/options.ts'
import type { DoctorCheck, DoctorRecord } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import type { World } from '../world.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

interface DoctorOptions extends ReaderOptions, Pick<Flags, 'registry' | 'beacon' | 'listen'> {
  readonly config?: string
}

export function addDoctor(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'doctor', 'find out what stands between this machine and its peers', [
      'pilotgate doctor',
      'pilotgate doctor --registry rv.example:9000 --beacon rv.example:9001',
    ]),
  )
    .option('-c, --config <file>', 'configuration file, when no gateway runs')
    .option('--registry <host:port>', 'registry to check, when no gateway runs')
    .option('--beacon <host:port>', 'beacon to check, when no gateway runs')
    .option('--listen <ip:port>', 'UDP socket to check from, when no gateway runs')
    .action(
      cli.action(async (out, options: DoctorOptions) => {
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
  const { config, registry, beacon, listen } = options
  const flags = {
    ...(registry !== undefined && { registry }),
    ...(beacon !== undefined && { beacon }),
    ...(listen !== undefined && { listen }),
  }
  const file = config ?? world.env['PILOTGATE_CONFIG']
  const wanted = resolveOptions({
    flags,
    env: world.env,
    file: file === undefined || file === '' ? undefined : await loadConfig(file),
  })
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
    record.healthy ? out.good('nothing stands in the way') : out.bad('something stands in the way: see FAIL above'),
  ]
}
