/** `pilotgate rendezvous nodes|networks|audit|remove`: looks after a running registry, with its admin token. */
import type { Command } from 'commander'
import { parsePeerName } from '../../base/address.ts'
import { PilotError } from '../../base/errors.ts'
import { isLoopback } from '../../base/types.ts'
import { registryTarget, type RegistryTarget } from '../../runtime/net/endpoints.ts'
import type { Cli } from '../cli.ts'
import type { Output } from '../output.ts'
import { formatAge, plural } from '../text.ts'
import type { World } from '../world.ts'
import { readAdminToken } from './admin-token.ts'
import { numberOption } from './numbers.ts'

interface AdminFlags {
  readonly registry?: string
  readonly registryFingerprint?: string
  readonly adminTokenFile?: string
}

/** One question to the registry, which carries the token. */
type Ask = (request: object) => Promise<Record<string, unknown>>

export function addRendezvousAdmin(cli: Cli, rendezvous: Command): void {
  addLists(cli, rendezvous)
  const networks = admin(cli, rendezvous, 'networks', 'list the networks', ['pilotgate rendezvous networks'])
  networks.action(cli.action(async (out) => listNetworks(out, await asker(cli.world, networks))))
  const create = admin(cli, networks, 'create <name>', 'create a network', [
    'pilotgate rendezvous networks create build --owner agent-a',
    'pilotgate rendezvous networks create build --owner 3 --join-rule token --join-token-file ./join',
  ])
    .requiredOption('--owner <node>', 'node that becomes its first member')
    .option('--join-rule <rule>', 'open, token, or invite (default open)')
    .option('--join-token-file <file>', 'with the rule token: file with the token that members show')
    .option('--enterprise', 'with roles and invitations (needed for the rule invite)')
  create.action(
    cli.action(async (out, name: string, options: CreateOptions) =>
      createNetwork(out, await asker(cli.world, create), name, options, cli.world),
    ),
  )
  const drop = admin(cli, networks, 'delete <id>', 'delete a network; its members stay registered', [
    'pilotgate rendezvous networks delete 1',
  ])
  drop.action(
    cli.action(async (out, id: string) => {
      const network = numberOption('the network', 1, 65_535)(id)
      await (
        await asker(cli.world, drop)
      )({ type: 'delete_network', network_id: network })
      out.result({ network }, [`deleted network ${network}`])
    }),
  )
}

function addLists(cli: Cli, rendezvous: Command): void {
  const nodes = admin(cli, rendezvous, 'nodes', 'list the registered nodes', [
    'pilotgate rendezvous nodes --admin-token-file ./token',
    'pilotgate rendezvous nodes --registry tls://rv.example:9000 --json',
  ])
  nodes.action(cli.action(async (out) => listNodes(out, await asker(cli.world, nodes))))
  const audit = admin(cli, rendezvous, 'audit', 'show what changed, newest first', [
    'pilotgate rendezvous audit --limit 20',
  ])
    .option('--limit <n>', 'entries to show (default 100)', numberOption('--limit', 1, 1_000))
    .option('--network <id>', 'only this network', numberOption('--network', 1, 65_535))
  audit.action(
    cli.action(async (out, options: { readonly limit?: number; readonly network?: number }) =>
      showAudit(out, await asker(cli.world, audit), options),
    ),
  )
  const remove = admin(
    cli,
    rendezvous,
    'remove <node>',
    'end the registration of a node, or its membership of a network; a node that still runs registers again',
    ['pilotgate rendezvous remove 7', 'pilotgate rendezvous remove agent-b --network 1'],
  ).option('--network <id>', 'only from this network', numberOption('--network', 1, 65_535))
  remove.action(
    cli.action(async (out, node: string, { network }: { readonly network?: number }) =>
      removeNode(out, await asker(cli.world, remove), node, network),
    ),
  )
}

/** The parent has options of the same names, and commander gives it their values wherever they are written. */
function admin(cli: Cli, parent: Command, usage: string, summary: string, examples: readonly string[]): Command {
  const command = cli
    .add(parent, usage, summary, examples)
    .option('--registry <host:port>', 'the registry; tls://host:port verifies its certificate (env PILOTGATE_REGISTRY)')
    .option('--registry-fingerprint <hex>', 'use TLS and accept only this certificate')
    .option('--admin-token-file <file>', 'file with the token (PILOTGATE_ADMIN_TOKEN holds the token itself)')
  return command.configureHelp({
    showGlobalOptions: true,
    visibleGlobalOptions: () => cli.program.options.filter(({ long }) => long !== '--version'),
  })
}

async function asker(world: World, command: Command): Promise<Ask> {
  const flags: AdminFlags = command.optsWithGlobals()
  const { askRegistry } = await world.modules.registry()
  const target = registryTarget(
    flags.registry ?? (world.env['PILOTGATE_REGISTRY'] || DEFAULT_REGISTRY),
    flags.registryFingerprint ?? (world.env['PILOTGATE_REGISTRY_FINGERPRINT'] || undefined),
  )
  checkConfidential(target)
  const token = await readAdminToken(flags.adminTokenFile, world)
  if (token === undefined)
    throw new PilotError(
      'USAGE',
      'the admin token of the registry is needed',
      {},
      undefined,
      'Name its file with --admin-token-file, or put it into PILOTGATE_ADMIN_TOKEN.',
    )
  return async (request) => (await askRegistry(target, { ...request, admin_token: token })) as Record<string, unknown>
}

/** Anyone who reads the token administers the registry. @throws PilotError USAGE. */
function checkConfidential({ address, port, tls }: RegistryTarget): void {
  if (tls || isLoopback(address) || address === 'localhost') return
  throw new PilotError(
    'USAGE',
    `${address}:${port}: without TLS the admin token could be read on the way`,
    {},
    undefined,
    `Use --registry tls://${address}:${port}, or pin its certificate with --registry-fingerprint.`,
  )
}

/** A reply holds what fits into 64 KiB; ours continues after the last id. A Go registry repeats the first page. */
async function allNodes(ask: Ask): Promise<NodeEntry[]> {
  const nodes: NodeEntry[] = []
  for (;;) {
    const after = nodes.at(-1)?.node_id ?? 0
    const { nodes: page } = (await ask({ type: 'list_nodes', network_id: 0, after_node_id: after })) as {
      nodes?: readonly NodeEntry[]
    }
    const more = [...(page ?? [])].sort((a, b) => a.node_id - b.node_id).filter(({ node_id: id }) => id > after)
    if (more.length === 0) return nodes
    nodes.push(...more)
  }
}

async function listNodes(out: Output, ask: Ask): Promise<void> {
  const nodes = await allNodes(ask)
  const rows = nodes.map((node) => [
    String(node.node_id),
    node.address,
    node.hostname ?? '-',
    node.public ? 'yes' : 'no',
    node.tags?.join(', ') ?? '-',
    `${formatAge(Math.max(0, Date.now() - Date.parse(node.last_seen)))} ago`,
  ])
  out.result(nodes, [
    ...(rows.length === 0 ? [] : out.table(['NODE', 'ADDRESS', 'HOSTNAME', 'PUBLIC', 'TAGS', 'SEEN'], rows)),
    plural(nodes.length, 'node'),
  ])
}

async function listNetworks(out: Output, ask: Ask): Promise<void> {
  const { networks = [] } = (await ask({ type: 'list_networks' })) as { networks?: readonly NetworkEntry[] }
  const rows = networks.map(({ id, name, members, join_rule: rule, created, enterprise }) => [
    String(id),
    name,
    String(members),
    rule,
    enterprise ? 'yes' : 'no',
    new Date(created * 1_000).toISOString().slice(0, 10),
  ])
  out.result(networks, out.table(['ID', 'NAME', 'MEMBERS', 'JOIN RULE', 'ENTERPRISE', 'CREATED'], rows))
}

interface CreateOptions {
  readonly owner: string
  readonly joinRule?: string
  readonly joinTokenFile?: string
  readonly enterprise?: boolean
}

async function createNetwork(
  out: Output,
  ask: Ask,
  name: string,
  { owner, joinRule = 'open', joinTokenFile, enterprise = false }: CreateOptions,
  world: World,
): Promise<void> {
  if ((joinRule === 'token') !== (joinTokenFile !== undefined))
    throw new PilotError('USAGE', 'the join rule "token" and --join-token-file go together')
  const token = joinTokenFile === undefined ? undefined : await readAdminToken(joinTokenFile, world)
  const { network_id: network } = await ask({
    type: 'create_network',
    name,
    node_id: await nodeIdOf(ask, owner),
    join_rule: joinRule,
    enterprise,
    ...(token !== undefined && { token }),
  })
  out.result({ network, name, joinRule }, [`created network ${String(network)}, ${name}`])
}

async function showAudit(
  out: Output,
  ask: Ask,
  { limit, network }: { readonly limit?: number; readonly network?: number },
): Promise<void> {
  const { entries } = (await ask({
    type: 'get_audit_log',
    ...(limit !== undefined && { limit }),
    ...(network !== undefined && { network_id: network }),
  })) as { entries?: readonly AuditRecord[] | null }
  const found = entries ?? []
  const rows = found.map((entry) => [
    entry.timestamp,
    entry.action,
    entry.network_id === undefined ? '-' : String(entry.network_id),
    entry.node_id === undefined ? '-' : String(entry.node_id),
    entry.details ?? '',
  ])
  out.result(
    found,
    found.length === 0
      ? ['nothing has been logged']
      : out.table(['TIME', 'ACTION', 'NETWORK', 'NODE', 'DETAILS'], rows),
  )
}

async function removeNode(out: Output, ask: Ask, written: string, network: number | undefined): Promise<void> {
  const nodeId = await nodeIdOf(ask, written)
  if (network === undefined) await ask({ type: 'deregister', node_id: nodeId })
  else await ask({ type: 'kick_member', network_id: network, target_node_id: nodeId })
  const from = network === undefined ? '' : ` from network ${network}`
  out.result({ nodeId, network: network ?? null }, [`removed node ${nodeId}${from}`])
}

/** @throws PilotError USAGE, NOT_FOUND. */
async function nodeIdOf(ask: Ask, written: string): Promise<number> {
  const name = parsePeerName(written)
  if (name === undefined)
    throw new PilotError('USAGE', `"${written}": expected a hostname, an address as 0:0000.0000.0004, or a node id`)
  const nodes = await allNodes(ask)
  const found = nodes.find((node) =>
    name.kind === 'address' ? node.node_id === name.address.node : node.hostname === name.hostname,
  )
  if (found !== undefined) return found.node_id
  throw new PilotError(
    'NOT_FOUND',
    `${written}: no such node is registered`,
    {},
    undefined,
    '`pilotgate rendezvous nodes` lists them.',
  )
}

interface NodeEntry {
  readonly node_id: number
  readonly address: string
  readonly hostname?: string
  readonly public: boolean
  readonly tags?: readonly string[]
  readonly last_seen: string
}

interface NetworkEntry {
  readonly id: number
  readonly name: string
  readonly members: number
  readonly join_rule: string
  readonly enterprise: boolean
  readonly created: number // unix seconds
}

interface AuditRecord {
  readonly timestamp: string
  readonly action: string
  readonly network_id?: number
  readonly node_id?: number
  readonly details?: string
}

const DEFAULT_REGISTRY = '127.0.0.1:9000'
