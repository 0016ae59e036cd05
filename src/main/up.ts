import { mkdirSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { ApiClient } from '../api/client.ts'
import { systemClock } from '../base/clock.ts'
import { parseDuration } from '../cli/text.ts'
import { silentLog } from '../base/log.ts'
import { watchParent } from '../local/parent-watch.ts'
import { apiToken } from './api-token.ts'
import { sameMs } from './child.ts'
import { addGateLimits, gateLimitArguments } from './gate-limits.ts'
import { TlsFiles, tlsPaths } from './tls-files.ts'
import { checkedLocation, claimTopology } from './topology.ts'
import { mainErrors } from './errors.ts'
import { Tree, reachableHost } from './tree.ts'

export const projectDir = join(import.meta.dirname, '..', '..')
export const installsFile = join(projectDir, '.servers', 'servers.json')
export const templatesDir = join(projectDir, '.servers', 'templates')
export const clientUser = 'app'

/** The client account that a new data directory gets, its password kept beside it. */
export async function ensureClientUser(dataDir: string, client: ApiClient): Promise<string> {
  const file = join(dataDir, 'client.password')
  const isNew = !existsSync(file)
  if (isNew) writeFileSync(file, randomBytes(12).toString('base64url'), { mode: 0o600 })
  const password = readFileSync(file, 'utf8').trim()
  const users = await client.call('listUsers')
  // Its password, rights and limits may have been changed since: they stay.
  if (!users.some((user) => user.name === clientUser)) await client.call('createUser', {}, { name: clientUser, password })
  else if (isNew) await client.call('alterUser', { user: clientUser }, { password })
  return password
}

type UpFlags = {
  dataDir: string
  flavour: string
  apiHost: string
  apiPort: string
  gateHost: string
  gatePort: string
  tokenFile?: string
  tlsCert?: string
  tlsKey?: string
  requireTls?: boolean
  rsaKey?: string
  slowQuery?: string
  drain: string
  gates: string
  replicaMaxLag: string
  topology?: string
}

export function upCommand(program: Command, say: (line: string) => void): void {
  const command = program.command('up')
  command
    .description('run control, mover and gate on this machine until Ctrl-C; database servers stay')
    .option('--data-dir <dir>', 'where everything is kept', './.shardwright')
    .option('--flavour <flavour>', 'mariadb | mysql: what is provisioned', 'mariadb')
    .option('--api-port <port>', 'control API and page', '15000')
    .option('--api-host <host>', 'address it listens on; others than 127.0.0.1 need a token', '127.0.0.1')
    .option('--token-file <file>', 'the token of the control API, in a file; default: SHARDWRIGHT_TOKEN')
    .option('--gate-port <port>', 'where applications connect', '15306')
    .option('--gate-host <host>', 'address the gate listens on', '127.0.0.1')
    .option('--tls-cert <file>', "the gate's certificate (PEM, with its chain); read anew when the file changes")
    .option('--tls-key <file>', 'its private key')
    .option('--require-tls', 'let no client in without TLS')
    .option('--rsa-key <file>', 'RSA private key by which clients without TLS show a password; default: one made at the start')
    .option('--gates <n>', 'so many gate processes on the one port: one takes about one core', '1')
    .option('--slow-query <seconds>', 'a statement that takes longer is counted as slow (gate queries); default: 1')
    .option('--drain <duration>', 'a gate that ends, or is restarted, lets transactions come to their COMMIT for so long', '10s')
    .option(
      '--replica-max-lag <seconds>',
      'reads at @replica leave out a replica that is further behind, or not known to be within it',
      '30',
    )
    .option(
      '--topology <etcd://…>',
      'etcd://host:port[,host:port…]/prefix: several machines share it; default: SQLite in the data directory',
    )
  addGateLimits(command)
  command.action(async (flags: UpFlags) => {
    const token = apiToken(flags.apiHost, flags.tokenFile)
    const limits = gateLimitArguments(flags)
    const tls = tlsPaths(flags.tlsCert, flags.tlsKey)
    // What is wrong with them is said here, and not only in the gate's log.
    if (tls !== null) new TlsFiles(tls, silentLog)
    if (flags.topology !== undefined) checkedLocation(flags.topology)
    const dataDir = resolve(flags.dataDir)
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    claimTopology(flags.topology, dataDir)
    const tree = await Tree.start({
      dataDir,
      flavour: flags.flavour === 'mysql' ? 'mysql' : 'mariadb',
      apiPort: Number(flags.apiPort),
      gatePort: Number(flags.gatePort),
      apiHost: flags.apiHost,
      gateHost: flags.gateHost,
      replicaLagMaxMs: secondsMs('--replica-max-lag', flags.replicaMaxLag),
      gates: wholeNumber('--gates', flags.gates),
      drainMs: drainMsOf(flags.drain),
      gateArguments: [
        ...(tls === null ? [] : ['--tls-cert', resolve(tls.cert), '--tls-key', resolve(tls.key)]),
        ...(flags.requireTls === true ? ['--require-tls', 'yes'] : []),
        ...(flags.slowQuery === undefined ? [] : ['--slow-ms', String(secondsMs('--slow-query', flags.slowQuery))]),
        ...(flags.rsaKey === undefined ? [] : ['--rsa-key', resolve(flags.rsaKey)]),
        ...limits,
      ],
      installsFile,
      templatesDir,
      clock: systemClock,
      ...(flags.topology === undefined ? {} : { topology: flags.topology }),
      say,
    })
    await ensureClientUser(dataDir, new ApiClient({ baseUrl: tree.apiUrl, ...(token === undefined ? {} : { token }) }))
    say(`control API and page  ${tree.apiUrl}`)
    say(
      `gate                  mysql -h ${reachableHost(flags.gateHost)} -P ${tree.gatePort} -u ${clientUser} -p   (password in ${join(dataDir, 'client.password')})`,
    )
    say('Ctrl-C stops these processes; database servers stay and are found again')
    await untilInterrupted()
    say('stopping; Ctrl-C again ends at once what transactions are waited for')
    const stopped = tree.stop()
    await Promise.race([stopped, untilInterrupted(sameMs)])
    tree.hurry()
    await stopped
  })
}

/**
 * Until Ctrl-C, a signal, or the end of the launcher that runs us on the right Node.
 * @param notWithinMs signals that come sooner are those that came already: to us, and to our launcher, which passes them on
 */
export function untilInterrupted(notWithinMs = 0): Promise<void> {
  const sinceMs = performance.now()
  return new Promise((resolvePromise) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      const onSignal = (): void => {
        if (performance.now() - sinceMs < notWithinMs) return
        process.off(signal, onSignal)
        resolvePromise()
      }
      process.on(signal, onSignal)
    }
    if (process.channel) watchParent({ onGone: () => resolvePromise() })
  })
}

function drainMsOf(text: string): number {
  const ms = parseDuration(text)
  if (ms === null || ms > 24 * 3600 * 1000)
    throw mainErrors.badArguments({ process: 'up', problem: `--drain ${text}: a duration such as 30s is wanted, of a day at most` })
  return ms
}

function wholeNumber(argument: string, text: string): number {
  const n = Number(text)
  if (!Number.isInteger(n) || n < 1 || n > 64)
    throw mainErrors.badArguments({ process: 'up', problem: `${argument} ${text}: not a number from 1 to 64` })
  return n
}

function secondsMs(argument: string, text: string): number {
  const seconds = Number(text)
  if (!Number.isFinite(seconds) || seconds <= 0)
    throw mainErrors.badArguments({ process: 'up', problem: `${argument} ${text}: not a number of seconds` })
  return Math.round(seconds * 1000)
}
