import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EtcdStore } from '../topology/etcd.ts'
import { isEtcdLocation, parseEtcdLocation } from '../topology/etcd-location.ts'
import { topologyErrors } from '../topology/errors.ts'
import { SqliteStore } from '../topology/sqlite.ts'
import type { Store } from '../topology/store.ts'

/**
 * The topology of an installation: `etcd://…`, else the SQLite file of its data directory. etcd's password comes from
 * SHARDWRIGHT_TOPOLOGY_PASSWORD, never from arguments.
 */
export function openTopology(location: string | undefined, dataDir: string): Store {
  if (location === undefined) return new SqliteStore(join(dataDir, 'topology.sqlite'))
  const { endpoints, prefix, user, tls } = checkedLocation(location)
  const read = (path: string | null): string | null => {
    if (path === null) return null
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      throw topologyErrors.badLocation({ location, reason: `${path} cannot be read`, form: '…?ca=FILE&cert=FILE&key=FILE' }, error)
    }
  }
  const files = tls === null ? null : { ca: read(tls.ca), cert: read(tls.cert), key: read(tls.key), servername: tls.servername }
  return new EtcdStore({
    endpoints,
    prefix,
    tls: files === null ? null : Object.fromEntries(Object.entries(files).filter(([, value]) => value !== null)),
    credentials: user === null ? null : { user, password: process.env['SHARDWRIGHT_TOPOLOGY_PASSWORD'] ?? '' },
  })
}

/** Refuses what is neither etcd nor left out: before a process starts that would find nothing. */
export function checkedLocation(location: string): ReturnType<typeof parseEtcdLocation> {
  if (!isEtcdLocation(location))
    throw topologyErrors.badLocation({
      location,
      reason: 'only etcd is named; SQLite is what a data directory has',
      form: 'etcd://host:port/prefix',
    })
  return parseEtcdLocation(location)
}

/** A data directory belongs to one topology for good: servers that one knows, the other would provision again. */
export function claimTopology(location: string | undefined, dataDir: string): void {
  const kind = location === undefined ? 'sqlite' : `etcd ${checkedLocation(location).prefix}`
  const file = join(dataDir, 'topology.kind')
  const had = existsSync(file) ? readFileSync(file, 'utf8').trim() : existsSync(join(dataDir, 'topology.sqlite')) ? 'sqlite' : kind
  if (had !== kind) {
    const reason = `${dataDir} belongs to the topology "${had}"`
    throw topologyErrors.badLocation({
      location: location ?? 'sqlite',
      reason,
      form: 'the same --topology as before, or another --data-dir',
    })
  }
  writeFileSync(file, `${kind}\n`)
}
