import { join } from 'node:path'
import { createPrivateKey, generateKeyPair, randomUUID, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { systemClock } from '../base/clock.ts'
import { Gate } from '../gate/gate.ts'
import { needArgument, processArguments } from './arguments.ts'
import { drainMsDefault } from './child-settings.ts'
import { runChild, tellParent } from './child.ts'
import { mainErrors } from './errors.ts'
import { adoptedListener } from './listener.ts'
import { gateLimits, gateLimitsOf } from './gate-limits.ts'
import { fileLog } from './log.ts'
import { TlsFiles, tlsPaths } from './tls-files.ts'
import { openTopology } from './topology.ts'

const names = [
  'data-dir',
  'topology',
  'port',
  'host',
  'lease-ms',
  'replica-lag-max-ms',
  'reuse-port',
  'listener',
  'drain-ms',
  'tls-cert',
  'tls-key',
  'require-tls',
  'rsa-key',
  'slow-ms',
  ...gateLimits.map(({ flag }) => flag),
]
const args = processArguments('gate', names, process.argv.slice(2))
const dataDir = needArgument('gate', args, 'data-dir')
const log = fileLog(join(dataDir, 'logs', 'gate.log'), 'gate')
const paths = tlsPaths(args['tls-cert'], args['tls-key'])
const tls = paths === null ? null : new TlsFiles(paths, log)
const store = openTopology(args['topology'], dataDir)
const id = `gate-${process.pid}-${randomUUID().slice(0, 8)}`
const drainMs = drainMsOf(args['drain-ms'])
const socket = args['listener'] === 'parent' ? await adoptedListener() : undefined
const gate = new Gate({
  store,
  listen: {
    host: args['host'] ?? '127.0.0.1',
    port: Number(needArgument('gate', args, 'port')),
    reusePort: args['reuse-port'] === 'yes',
    ...(socket === undefined ? {} : { socket }),
  },
  log,
  clock: systemClock,
  id,
  pid: process.pid,
  config: {
    ...gateLimitsOf('gate', args),
    requireTls: args['require-tls'] === 'yes',
    ...(args['lease-ms'] === undefined ? {} : { leaseMs: Number(args['lease-ms']) }),
    ...(args['slow-ms'] === undefined ? {} : { slowMs: Number(args['slow-ms']) }),
    ...(args['replica-lag-max-ms'] === undefined ? {} : { replicaLagMaxMs: Number(args['replica-lag-max-ms']) }),
  },
  ...(tls === null ? {} : { secureContext: () => tls.current }),
  rsaKey: keptRsaKey(args['rsa-key']),
})
const child = runChild(
  log,
  async (hurry) => {
    const drained = await gate.stop(drainMs, hurry)
    await tellParent({ drained })
    await store[Symbol.asyncDispose]()
  },
  // What is left to do when the last session is gone has its time too.
  drainMs + 1000,
)
const { port } = await gate.start()
if (tls !== null) void tls.follow(systemClock, child.stopping)
child.ready(port, { id, listener: gate.listener })

function drainMsOf(text: string | undefined): number {
  const ms = Number(text ?? drainMsDefault)
  if (!Number.isInteger(ms) || ms < 0) throw mainErrors.badArguments({ process: 'gate', problem: `--drain-ms ${text}: not milliseconds` })
  return ms
}

/** The key in a file, for clients that know it and gates that share it; else one of this process, made when it is first asked for. */
function keptRsaKey(file: string | undefined): () => Promise<KeyObject> {
  const given = file === undefined ? null : createPrivateKey(readFileSync(file))
  let making: Promise<KeyObject> | null = given === null ? null : Promise.resolve(given)
  return () => (making ??= promisify(generateKeyPair)('rsa', { modulusLength: 2048 }).then(({ privateKey }) => privateKey))
}
