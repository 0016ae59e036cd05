import type { LocalFlavour, ServerInstall } from './installs.ts'

/**
 * What a server is started with. Everything that differs between the two flavours at start stands here, and all of it is
 * written to `my.cnf` in the server's directory: that is what lets MySQL load what SET PERSIST wrote (it does not under
 * `--no-defaults`), and it shows whoever looks how the server is set.
 */
export type ServerSettings = {
  /** `full`: every commit reaches the disk before it is acknowledged. `relaxed`: for tests, each commit reaches the system, so it survives kill -9 of the server, not a power cut. */
  readonly durability: 'full' | 'relaxed'
  readonly bufferPoolBytes: number
  readonly redoLogBytes: number
  readonly binlog: boolean
  /** `counts`: MySQL has it with every instrument off, so that the counts of reads can be switched on while they are asked for (MariaDB needs it for nothing). */
  readonly performanceSchema: boolean | 'counts'
  readonly connectionsMax: number
  /** More `my.cnf` settings, later ones winning: `{ 'log-bin-compress': 'ON' }`. */
  readonly extra: Readonly<Record<string, string | number>>
}

export const defaultSettings: ServerSettings = {
  durability: 'full',
  bufferPoolBytes: 256 * 1024 * 1024,
  redoLogBytes: 256 * 1024 * 1024,
  binlog: true,
  performanceSchema: 'counts',
  connectionsMax: 500,
  extra: {},
}

/** Of a template data directory. A server that is given as much keeps the file that it finds (tests do); another makes it anew at its first start. */
export const templateRedoLogBytes = 48 * 1024 * 1024

/** Holds a landing of a copy (move/landing.ts), of some thousand rows. */
const binlogCacheBytes = 4 * 1024 * 1024

export type ServerPlace = {
  readonly dataDir: string
  readonly socketPath: string
  readonly port: number
  readonly pidFile: string
  /** Its own: a server that starts removes every `#sql…` file of its directory for temporary files, those of its neighbours too. */
  readonly tmpDir: string
  /** Unique among the servers of a topology: replication tells servers and, on MariaDB, histories apart by it. */
  readonly serverId: number
}

/** Text of the `my.cnf` of one server. */
export function serverConfig(install: ServerInstall, place: ServerPlace, settings: ServerSettings): string {
  const config: Record<string, string | number> = {
    ...commonConfig(place, settings),
    ...byFlavour[install.flavour](place, settings),
    ...installConfig(install),
    ...settings.extra,
  }
  const lines = Object.entries(config).map(([name, value]) => `${name} = ${typeof value === 'number' ? value : quote(value)}`)
  return `# Written by shardwright at every start of this server; changes made here are lost.\n[mysqld]\n${lines.join('\n')}\n`
}

/** Arguments that name where the program's own files are. */
export function installConfig(install: ServerInstall): Record<string, string> {
  const config: Record<string, string> = {}
  if (install.basedir !== null) config['basedir'] = install.basedir
  if (install.shareDir !== null) config['lc-messages-dir'] = install.shareDir
  return config
}

/** A server refuses to run as root unless told to. */
export function userArguments(): string[] {
  return process.getuid?.() === 0 ? ['--user=root'] : []
}

function commonConfig(place: ServerPlace, settings: ServerSettings): Record<string, string | number> {
  const full = settings.durability === 'full'
  return {
    datadir: place.dataDir,
    socket: place.socketPath,
    port: place.port,
    'pid-file': place.pidFile,
    tmpdir: place.tmpDir,
    'bind-address': '127.0.0.1',
    'skip-name-resolve': 'ON',
    'server-id': place.serverId,
    'character-set-server': 'utf8mb4',
    'local-infile': 'ON',
    'event-scheduler': 'OFF',
    'max-connections': settings.connectionsMax,
    'max-allowed-packet': 256 * 1024 * 1024,
    'performance-schema': settings.performanceSchema === true ? 'ON' : 'OFF',
    'innodb-buffer-pool-size': settings.bufferPoolBytes,
    // A deadlock is gone when it is asked about: whose locks they were stands in the server's log.
    'innodb-print-all-deadlocks': 'ON',
    'innodb-flush-log-at-trx-commit': full ? 1 : 2,
    ...(settings.binlog
      ? {
          'log-bin': 'binlog',
          'sync-binlog': full ? 1 : 0,
          'binlog-row-metadata': 'FULL',
          'binlog-row-image': 'FULL',
          // A transaction that does not fit (32 kB by default) goes through a file of its own: a twentieth of all that a copy costs. Only what is used of it takes memory.
          'binlog-cache-size': binlogCacheBytes,
        }
      : { 'skip-log-bin': 'ON' }),
  }
}

const byFlavour: Record<LocalFlavour, (place: ServerPlace, settings: ServerSettings) => Record<string, string | number>> = {
  mariadb: (place, settings) => ({
    'binlog-format': 'ROW',
    'gtid-strict-mode': 'ON',
    'gtid-domain-id': place.serverId,
    'innodb-log-file-size': settings.redoLogBytes,
    ...(settings.binlog ? { 'binlog-expire-logs-seconds': 7 * 86_400 } : {}),
  }),
  mysql: (_place, settings) => ({
    'gtid-mode': 'ON',
    'enforce-gtid-consistency': 'ON',
    'innodb-redo-log-capacity': settings.redoLogBytes,
    mysqlx: 'OFF',
    ...(settings.performanceSchema === 'counts' ? { 'performance-schema': 'ON', 'performance-schema-instrument': '%=OFF' } : {}),
    'secure-file-priv': 'NULL',
    ...(settings.binlog ? { 'binlog-expire-logs-seconds': 7 * 86_400 } : {}),
  }),
}

function quote(value: string): string {
  return /^[\w./:+-]+$/.test(value) ? value : `"${value.replace(/["\\]/g, '\\$&')}"`
}
