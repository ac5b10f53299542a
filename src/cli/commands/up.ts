/** `pilotgate up`: the gateway itself, in the foreground. What happens is in serve.ts. */
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { serve, type UpOptions } from '../serve.ts'

export function addUp(cli: Cli): void {
  withUpOptions(
    cli.add(cli.program, 'up', 'run a gateway until it is told to stop', [
      'pilotgate up --hostname agent-a --trust agent-b --map 8080:agent-b:80',
      'pilotgate up --hostname agent-b --trust agent-a --expose 80=127.0.0.1:3000,allow=agent-a',
      'pilotgate up -c gateway.yaml --json',
      'pilotgate up --daemon /tmp/pilot.sock --map 8080:0:0000.0000.0004:80',
    ]),
  ).action(cli.action(async (out, options: UpOptions) => serve(out, cli.world, options)))
}

/** Everything that a gateway in the foreground can be told. */
export function withUpOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration file; flags and PILOTGATE_… variables win over it. It is watched')
    .option('--registry <host:port>', 'registry to join (default 127.0.0.1:9000); tls://host:port for TLS')
    .option('--registry-fingerprint <hex>', 'SHA-256 of its TLS certificate: TLS with this one only')
    .option('--beacon <host:port>', 'beacon to use (default 127.0.0.1:9001)')
    .option('--listen <ip:port>', 'UDP socket of this node (default 0.0.0.0:0)')
    .option('--endpoint <ip:port>', 'our public address, where it is fixed and known')
    .option('--hostname <name>', 'name under which trusted peers find this node')
    .option('--public', 'let everybody resolve where this node is')
    .option('--state-dir <dir>', 'folder for what is kept between runs')
    .option('--identity <file>', 'private key of this node; made when absent')
    .option('--trust <peer>', 'ask this peer for trust and approve its request (repeatable)', collect)
    .option('--map <spec>', '[[BIND-IP:]LOCAL-PORT:]PEER:PORT[/udp]: make a remote port local (repeatable)', collect)
    .option(
      '--expose <spec>',
      'PORT[/udp]=TARGET[,allow=WHO]...[,identity=KIND]...[,max=N][,for=2h][,once]: offer a local service (repeatable)',
      collect,
    )
    .option('--admin <socket>', 'Unix socket for the other commands (default admin.sock in the state folder)')
    .option('--observe <ip:port>', 'serve /metrics, health and a dashboard there, without a password')
    .option(
      '--daemon <socket>',
      'use a pilot daemon that runs already, its identity and trust, instead of a node of our own',
    )
    .option('--allow-lan', 'allow --map, http, proxy and dns to listen beyond loopback')
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}
