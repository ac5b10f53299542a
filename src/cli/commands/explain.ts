/** `pilotgate explain TARGET`: dials it and tells each step: name → address → trust → path → port. */
import { ERRORS } from '../../base/errors.ts'
import type { ExplainRecord, ExplainStep } from '../../gateway/model/records.ts'
import type { Cli } from '../cli.ts'
import { clientOf, withAdmin, type ReaderOptions } from './reader.ts'

export function addExplain(cli: Cli): void {
  withAdmin(
    cli.add(cli.program, 'explain <target>', 'tell what happens when a target is dialled, step by step', [
      'pilotgate explain agent-b:80',
      'pilotgate explain agent-b',
      'pilotgate explain 127.0.0.1:8080',
    ]),
  ).action(
    cli.action(async (out, target: string, options: ReaderOptions) => {
      const record = await clientOf(options, cli.world).explain(target)
      const mark = (state: ExplainStep['state']): string =>
        state === 'ok' ? out.good('ok  ') : state === 'fail' ? out.bad('FAIL') : out.dim('-   ')
      const lines = ({ steps }: ExplainRecord): string[] =>
        steps.flatMap(({ step, state, text, hint }) => [
          `${mark(state)}  ${step.padEnd(7)}  ${text}`,
          ...(hint === undefined ? [] : [`               → ${hint}`]),
        ])
      out.result(record, [
        ...lines(record),
        ...(record.others ?? []).flatMap((other) => [
          `beside it ${other.peer}: ${other.reachable ? 'can be reached' : `cannot be reached, ${other.code ?? ''}`}`,
          ...lines(other).map((line) => `  ${line}`),
        ]),
        record.reachable
          ? out.good(`${record.target} can be reached`)
          : out.bad(`${record.target} cannot be reached: ${record.code ?? ''}`),
      ])
      return record.code === null ? 0 : ERRORS[record.code].exit
    }),
  )
}
