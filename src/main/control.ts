import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { systemClock } from '../base/clock.ts'
import { startControl } from '../control/control.ts'
import { readInstalls } from '../local/installs.ts'
import { LocalProvisioner } from '../local/provisioner.ts'
import { LocalServers } from '../local/local-servers.ts'
import type { ServerSettings } from '../local/server-config.ts'
import type { FlavourName } from '../mysql/connection.ts'
import { moveServer } from '../change/servers.ts'
import { apiToken } from './api-token.ts'
import { needArgument, processArguments } from './arguments.ts'
import { runChild } from './child.ts'
import { switchFailpointOf } from './failpoint.ts'
import { fileLog } from './log.ts'
import { version } from './version.ts'
import { openTopology } from './topology.ts'

const args = processArguments(
  'control',
  ['data-dir', 'topology', 'host', 'port', 'flavour', 'installs', 'templates', 'lease-ms'],
  process.argv.slice(2),
)
const dataDir = needArgument('control', args, 'data-dir')
const log = fileLog(join(dataDir, 'logs', 'control.log'), 'control')
const store = openTopology(args['topology'], dataDir)
const installsFile = needArgument('control', args, 'installs')
const installs = readInstalls(installsFile)
const servers = new LocalServers({
  installs,
  installsFile,
  templatesDir: needArgument('control', args, 'templates'),
  clock: systemClock,
  log,
})
const settings = JSON.parse(process.env['SHARDWRIGHT_SERVER_SETTINGS'] ?? '{}') as Partial<ServerSettings>
const provisioner = new LocalProvisioner(servers, {
  root: join(dataDir, 'servers'),
  flavours: Object.keys(installs) as FlavourName[],
  settings,
})
const child = runChild(log, async () => {
  await control.stop()
  await store[Symbol.asyncDispose]()
})
const switchFailpoint = switchFailpointOf(process.env['SHARDWRIGHT_FAILPOINT_FILE'])
const port = Number(needArgument('control', args, 'port'))
const apiHost = args['host'] ?? '127.0.0.1'
const token = apiToken(apiHost)
const control = await startControl({
  store,
  provisioner,
  flavour: args['flavour'] === 'mysql' ? 'mysql' : 'mariadb',
  clock: systemClock,
  log,
  holder: `control-${process.pid}-${randomUUID().slice(0, 8)}`,
  host: apiHost,
  port,
  ...(token === undefined ? {} : { token }),
  version,
  ...(args['lease-ms'] === undefined ? {} : { leaseMs: Number(args['lease-ms']) }),
  ...(switchFailpoint === null ? {} : { switchFailpoint }),
  consoleDir: join(import.meta.dirname, '..', '..', 'dist', 'console'),
})
void provisioner.supervise(
  child.stopping,
  async (endpoint) => {
    log.warn({ server: endpoint.id, port: endpoint.port }, 'a database server had ended and was started again')
    await moveServer(store, endpoint)
  },
  (server, error) => log.error({ server, error }, 'a database server could not be started again'),
)
child.ready(port)
