/**
 * The unmodified programs that end-to-end tests drive. Tests skip missing ones with a printed reason; on a CI machine
 * where we are root they are installed from Debian instead.
 */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { run } from './lib.mjs'

export async function installPrograms({ mayInstall }) {
  const missing = PROGRAMS.filter(({ program }) => !onPath(program))
  if (missing.length === 0) return
  if (mayInstall && process.getuid?.() === 0 && onPath('apt-get')) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const packages = missing.map((entry) => entry.debian)
    console.error(`installing ${packages.join(', ')} (apt-get) …`)
    await run('apt-get', ['update', '-qq'], { timeoutMs: 120_000, stdout: 'ignore', env })
    // One by one: a package missing from this release must not block the others.
    for (const name of packages)
      await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], {
        timeoutMs: 300_000,
        stdout: 'ignore',
        env,
      })
  }
  for (const { program, why } of missing)
    if (!onPath(program)) console.error(`note: no ${program} on this machine; skipped: ${why}`)
}

function onPath(program) {
  // Debian keeps servers and tcpdump in sbin, which is not on every PATH.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.some((folder) => existsSync(join(folder, program)))
}

const PROGRAMS = [
  { program: 'curl', debian: 'curl', why: 'downloads and uploads by an unmodified HTTP client' },
  { program: 'nginx', debian: 'nginx-light', why: 'a backend that reads the PROXY protocol' },
  { program: 'chromium', debian: 'chromium', why: 'a browser in front of the HTTP front' },
  {
    program: 'tcpdump',
    debian: 'tcpdump',
    why: 'the capture of real UDP traffic (an own relay socket still looks at it)',
  },
  { program: 'redis-server', debian: 'redis-server', why: 'an unmodified Redis client and server' },
  { program: 'ip', debian: 'iproute2', why: 'the NAT laboratory: network namespaces' },
  { program: 'ethtool', debian: 'ethtool', why: 'the benchmark on a network without segmentation offload' },
  { program: 'iptables', debian: 'iptables', why: 'the NAT laboratory: NATs and firewalls of the kernel' },
  { program: 'psql', debian: 'postgresql-client', why: 'an unmodified PostgreSQL client' },
  { program: 'dig', debian: 'dnsutils', why: 'an unmodified DNS client, of the responder and through a UDP mapping' },
  { program: 'ssh', debian: 'openssh-client', why: 'unmodified ssh and sftp' },
  { program: 'sshd', debian: 'openssh-server', why: 'unmodified ssh and sftp' },
  { program: 'rsync', debian: 'rsync', why: 'rsync over ssh' },
  { program: 'nc', debian: 'netcat-openbsd', why: 'ssh with a ProxyCommand' },
  { program: 'nats-server', debian: 'nats-server', why: 'NATS, and two NATS servers joined as leaf nodes' },
]
