/** `pilotgate up`: the gateway itself, in the foreground. serve.ts runs it. */
import type { Cli } from '../cli.ts'
import { serve, type UpOptions } from '../serve.ts'
import { withUpOptions } from './options.ts'

export function addUp(cli: Cli): void {
  withUpOptions(
    cli.add(cli.program, 'up', 'run a gateway until it is stopped', [
      'pilotgate up --hostname agent-a --trust agent-b --map 8080:agent-b:80',
      'pilotgate up --hostname agent-b --trust agent-a --expose 80=127.0.0.1:3000,allow=agent-a',
      'pilotgate up -c gateway.yaml --json',
      'pilotgate up --daemon /tmp/pilot.sock --map 8080:0:0000.0000.0004:80',
    ]),
  ).action(cli.action(async (out, options: UpOptions) => serve(out, cli.world, options)))
}
