/**
 * How much room a server has for what a move puts there: disk, connections, binlog. Disk is looked at where its files are: by the path of a server that we made, and by the server's own word on
 * itself where it runs on this machine; of any other nothing is known, and what to look at there is said.
 */
import { stat, statfs } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'
import { dirname, isAbsolute } from 'node:path'
import type { Connection } from './connection.ts'

export type Place = {
  readonly dir: string
  /** Null: it cannot be seen from here. `device`: what is on one disk has its room together. */
  readonly disk: { readonly freeBytes: number; readonly device: string } | null
}

export type ServerRoom = {
  readonly data: Place
  readonly binlog: Place
  readonly connectionsMax: number
  /** Now, and at most since it was started. */
  readonly connectionsNow: number
  readonly connectionsPeak: number
  /** Of all binlogs together, where the server has such a limit. */
  readonly binlogBytesMax: { readonly setting: string; readonly bytes: number } | null
  /** What it writes to its binlog it compresses. */
  readonly binlogPacked: boolean
}

const limits = ['max_binlog_total_size', 'binlog_space_limit']
const packing = ['binlog_transaction_compression', 'log_bin_compress']

/** `dataDir`: of a server that we made. */
export async function readServerRoom(
  connection: Connection,
  server: { readonly host: string; readonly dataDir: string | null },
): Promise<ServerRoom> {
  const here = server.dataDir !== null || (await isHere(connection, server.host))
  const variables = await named(
    connection,
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${[...limits, ...packing].map((name) => `'${name}'`).join(', ')})`,
  )
  const status = await named(connection, "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', 'Max_used_connections')")
  const datadir = (await connection.value('SELECT @@GLOBAL.datadir')) ?? ''
  const basename = (await connection.value('SELECT @@GLOBAL.log_bin_basename')) ?? ''
  const place = async (dir: string): Promise<Place> => ({ dir, disk: here ? await diskOf(dir) : null })
  const setting = limits.find((name) => Number(variables.get(name) ?? 0) > 0)
  return {
    data: await place(server.dataDir ?? datadir),
    binlog: await place(isAbsolute(basename) ? dirname(basename) : (server.dataDir ?? datadir)),
    connectionsMax: Number(await connection.value('SELECT @@GLOBAL.max_connections')),
    connectionsNow: Number(status.get('Threads_connected') ?? 0),
    connectionsPeak: Number(status.get('Max_used_connections') ?? 0),
    binlogBytesMax: setting === undefined ? null : { setting, bytes: Number(variables.get(setting)) },
    binlogPacked: packing.some((name) => variables.get(name) === 'ON'),
  }
}

/** Null where there is no such directory: it is another machine's, or a container's. */
export async function diskOf(dir: string): Promise<Place['disk']> {
  const found = await lookAt(dir)
  return found === 'missing' ? null : found
}

/** Of a directory that is still to be made: where it comes to stand. */
export async function diskToBeOf(dir: string): Promise<Place['disk']> {
  for (let at = dir; ; at = dirname(at)) {
    const found = await lookAt(at)
    if (found !== 'missing') return found
    if (dirname(at) === at) return null
  }
}

async function lookAt(dir: string): Promise<Place['disk'] | 'missing'> {
  try {
    const [space, { dev }] = await Promise.all([statfs(dir), stat(dir)])
    return { freeBytes: space.bavail * space.bsize, device: String(dev) }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : null
  }
}

/** An address of this machine, and the server says so too: behind an address of ours may be a container. One with our name as well has paths of its own still. */
async function isHere(connection: Connection, host: string): Promise<boolean> {
  const own = Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address))
  if (host !== 'localhost' && host !== hostname() && !own.includes(host)) return false
  return (await connection.value('SELECT @@GLOBAL.hostname')) === hostname()
}

/** How much of the binlog was written since `from`, and where it ends now: files and their sizes as the server lists them. Purged files count as nothing. */
export async function binlogWritten(
  connection: Connection,
  from: ReadonlyMap<string, number> | null,
): Promise<{ bytes: number; files: ReadonlyMap<string, number> }> {
  const rows = await connection.allText('SHOW BINARY LOGS')
  const files = new Map(rows.map((row) => [row['Log_name'] ?? '', Number(row['File_size'] ?? 0)]))
  let bytes = 0
  if (from !== null) for (const [name, size] of files) bytes += Math.max(0, size - (from.get(name) ?? 0))
  return { bytes, files }
}

async function named(connection: Connection, sql: string): Promise<Map<string, string>> {
  const rows = await connection.allText(sql)
  return new Map(rows.map((row) => [row['Variable_name'] ?? '', row['Value'] ?? '']))
}
